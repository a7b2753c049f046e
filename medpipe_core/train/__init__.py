"""Training a plain network, figures of merit and the one test."""

import importlib
from typing import TYPE_CHECKING, Any

from medpipe_core.train.settings import FitSettings

if TYPE_CHECKING:
    from medpipe_core.train.decision import DecisionRule, fit_rule
    from medpipe_core.train.figures import (
        FiguresError,
        auc,
        bootstrap,
        chance_auc,
        confusion,
        log_loss,
        majority_probabilities,
        medmnist_figures,
        metrics,
        per_class,
    )
    from medpipe_core.train.final_test import TestReport, test_once
    from medpipe_core.train.fitting import NothingToSelectError, TrainingDivergedError, fit
    from medpipe_core.train.footprint import Footprint, step_footprint
    from medpipe_core.train.prediction import predict, recalibrate
    from medpipe_core.train.ranking import RankingError, check_ranking, missing_classes
    from medpipe_core.train.state import FitState
    from medpipe_core.train.task import ClassificationTask, Task, balanced_weights

__all__ = [
    "ClassificationTask",
    "DecisionRule",
    "FiguresError",
    "FitSettings",
    "FitState",
    "Footprint",
    "NothingToSelectError",
    "RankingError",
    "Task",
    "TestReport",
    "TrainingDivergedError",
    "auc",
    "balanced_weights",
    "bootstrap",
    "chance_auc",
    "check_ranking",
    "confusion",
    "fit",
    "fit_rule",
    "log_loss",
    "majority_probabilities",
    "medmnist_figures",
    "metrics",
    "missing_classes",
    "per_class",
    "predict",
    "recalibrate",
    "step_footprint",
    "test_once",
]

# What needs torch or scipy is imported on first use: settings are read before these are wanted.
_LATER = {
    "figures": (
        "FiguresError",
        "auc",
        "chance_auc",
        "bootstrap",
        "confusion",
        "log_loss",
        "majority_probabilities",
        "medmnist_figures",
        "metrics",
        "per_class",
    ),
    "decision": ("DecisionRule", "fit_rule"),
    "fitting": ("NothingToSelectError", "TrainingDivergedError", "fit"),
    "footprint": ("Footprint", "step_footprint"),
    "ranking": ("RankingError", "check_ranking", "missing_classes"),
    "prediction": ("predict", "recalibrate"),
    "state": ("FitState",),
    "task": ("ClassificationTask", "Task", "balanced_weights"),
    "final_test": ("TestReport", "test_once"),
}
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_core.train' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_core.train.{_MODULE_OF[name]}"), name)
