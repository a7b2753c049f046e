"""Searchers, and the loop that feeds them."""

from medpipe_core.search.gumbel import GumbelSearcher
from medpipe_core.search.loop import (
    BatchSource,
    Candidate,
    Score,
    SearchFailedError,
    SearchState,
    search,
)
from medpipe_core.search.protocol import (
    GATE_GRADIENTS,
    VALIDATION_LOSS,
    BudgetError,
    Outcome,
    Searcher,
)
from medpipe_core.search.random_search import RandomSearcher

__all__ = [
    "GATE_GRADIENTS",
    "VALIDATION_LOSS",
    "BatchSource",
    "BudgetError",
    "Candidate",
    "GumbelSearcher",
    "Outcome",
    "RandomSearcher",
    "Score",
    "SearchFailedError",
    "SearchState",
    "Searcher",
    "search",
]
