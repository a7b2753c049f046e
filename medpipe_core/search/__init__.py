"""Searchers, and the loop that feeds them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_core.search.asking import SearcherError
    from medpipe_core.search.decoupled import DecoupledSearcher, StagesError
    from medpipe_core.search.evolution import EvolutionSearcher
    from medpipe_core.search.gumbel import GumbelSearcher
    from medpipe_core.search.loop import SearchFailedError, advance, search
    from medpipe_core.search.optuna_search import MissingOptunaError, OptunaSearcher
    from medpipe_core.search.protocol import (
        AGREEMENT,
        CLEAN_VALIDATION,
        GATE_GRADIENTS,
        LOOK_AHEAD,
        NEEDS,
        VALIDATION_LOSS,
        BudgetError,
        Outcome,
        Searcher,
    )
    from medpipe_core.search.random_search import RandomSearcher
    from medpipe_core.search.scored import ScoreSearcher
    from medpipe_core.search.state import (
        BatchSource,
        Candidate,
        NoBatches,
        Score,
        ScoreError,
        SearchState,
    )

__all__ = [
    "AGREEMENT",
    "CLEAN_VALIDATION",
    "GATE_GRADIENTS",
    "LOOK_AHEAD",
    "NEEDS",
    "VALIDATION_LOSS",
    "BatchSource",
    "BudgetError",
    "Candidate",
    "DecoupledSearcher",
    "EvolutionSearcher",
    "GumbelSearcher",
    "MissingOptunaError",
    "NoBatches",
    "OptunaSearcher",
    "Outcome",
    "RandomSearcher",
    "Score",
    "ScoreError",
    "ScoreSearcher",
    "SearchFailedError",
    "SearchState",
    "Searcher",
    "SearcherError",
    "StagesError",
    "advance",
    "search",
]

# Registering a searcher and reading its settings waits for none of these.
_MODULES = {
    "AGREEMENT": "protocol",
    "CLEAN_VALIDATION": "protocol",
    "LOOK_AHEAD": "protocol",
    "NEEDS": "protocol",
    "BatchSource": "state",
    "BudgetError": "protocol",
    "Candidate": "state",
    "DecoupledSearcher": "decoupled",
    "GATE_GRADIENTS": "protocol",
    "GumbelSearcher": "gumbel",
    "NoBatches": "state",
    "Outcome": "protocol",
    "EvolutionSearcher": "evolution",
    "MissingOptunaError": "optuna_search",
    "OptunaSearcher": "optuna_search",
    "RandomSearcher": "random_search",
    "Score": "state",
    "ScoreError": "state",
    "ScoreSearcher": "scored",
    "SearchFailedError": "loop",
    "SearchState": "state",
    "Searcher": "protocol",
    "SearcherError": "asking",
    "StagesError": "decoupled",
    "VALIDATION_LOSS": "protocol",
    "advance": "loop",
    "search": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'medpipe_core.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_core.search.{_MODULES[name]}"), name)
