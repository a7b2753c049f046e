"""Searchers, estimators, and the loop that feeds them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_core.search.batch_source import BatchSource, NoBatches
    from medpipe_core.search.checked_searcher import SearcherError
    from medpipe_core.search.decoupled import DecoupledSearcher, StagesError
    from medpipe_core.search.estimator import Estimator, EstimatorError, Sample
    from medpipe_core.search.evolution import EvolutionSearcher
    from medpipe_core.search.gate_estimator import GateEstimator
    from medpipe_core.search.gumbel import GumbelSearcher
    from medpipe_core.search.halving import HalvingSearcher
    from medpipe_core.search.loop import SearchFailedError, advance, search
    from medpipe_core.search.needs import (
        AGREEMENT,
        CLEAN_VALIDATION,
        GATE_GRADIENTS,
        LOOK_AHEAD,
        NEEDS,
        PROBE,
        VALIDATION_LOSS,
        asking_for,
    )
    from medpipe_core.search.optuna_search import MissingOptunaError, OptunaSearcher
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.population import PopulationSearcher
    from medpipe_core.search.probe import PathLoss, Probe, ProbeError
    from medpipe_core.search.random_search import RandomSearcher
    from medpipe_core.search.score_function import (
        AgreementEstimator,
        AugmentedLossEstimator,
        LookAheadEstimator,
        ScoreFunctionEstimator,
    )
    from medpipe_core.search.score_searcher import ScoreSearcher
    from medpipe_core.search.searcher import BudgetError, Searcher
    from medpipe_core.search.state import (
        Candidate,
        Score,
        Scored,
        ScoreError,
        Scoring,
        SearchState,
    )
    from medpipe_core.search.step import take_step

__all__ = [
    "AGREEMENT",
    "CLEAN_VALIDATION",
    "GATE_GRADIENTS",
    "LOOK_AHEAD",
    "NEEDS",
    "PROBE",
    "VALIDATION_LOSS",
    "AgreementEstimator",
    "AugmentedLossEstimator",
    "BatchSource",
    "BudgetError",
    "Candidate",
    "DecoupledSearcher",
    "Estimator",
    "EstimatorError",
    "EvolutionSearcher",
    "GateEstimator",
    "GumbelSearcher",
    "HalvingSearcher",
    "LookAheadEstimator",
    "MissingOptunaError",
    "NoBatches",
    "OptunaSearcher",
    "Outcome",
    "PathLoss",
    "PopulationSearcher",
    "Probe",
    "ProbeError",
    "RandomSearcher",
    "Sample",
    "Score",
    "ScoreError",
    "ScoreFunctionEstimator",
    "ScoreSearcher",
    "Scored",
    "Scoring",
    "SearchFailedError",
    "SearchState",
    "Searcher",
    "SearcherError",
    "StagesError",
    "advance",
    "asking_for",
    "search",
    "take_step",
]

# Registering a searcher and reading its settings waits for none of these.
_MODULES = {
    "AGREEMENT": "needs",
    "AgreementEstimator": "score_function",
    "AugmentedLossEstimator": "score_function",
    "BatchSource": "batch_source",
    "BudgetError": "searcher",
    "CLEAN_VALIDATION": "needs",
    "Candidate": "state",
    "DecoupledSearcher": "decoupled",
    "Estimator": "estimator",
    "EstimatorError": "estimator",
    "EvolutionSearcher": "evolution",
    "GATE_GRADIENTS": "needs",
    "GateEstimator": "gate_estimator",
    "GumbelSearcher": "gumbel",
    "HalvingSearcher": "halving",
    "LOOK_AHEAD": "needs",
    "LookAheadEstimator": "score_function",
    "MissingOptunaError": "optuna_search",
    "NEEDS": "needs",
    "NoBatches": "batch_source",
    "OptunaSearcher": "optuna_search",
    "Outcome": "outcome",
    "PROBE": "needs",
    "PathLoss": "probe",
    "PopulationSearcher": "population",
    "Probe": "probe",
    "ProbeError": "probe",
    "RandomSearcher": "random_search",
    "Sample": "estimator",
    "Score": "state",
    "ScoreError": "state",
    "ScoreFunctionEstimator": "score_function",
    "ScoreSearcher": "score_searcher",
    "Scored": "state",
    "Scoring": "state",
    "SearchFailedError": "loop",
    "SearchState": "state",
    "Searcher": "searcher",
    "SearcherError": "checked_searcher",
    "StagesError": "decoupled",
    "VALIDATION_LOSS": "needs",
    "advance": "loop",
    "asking_for": "needs",
    "search": "loop",
    "take_step": "step",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'medpipe_core.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_core.search.{_MODULES[name]}"), name)
