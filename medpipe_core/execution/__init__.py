"""The order of a run and its stages, the trials that they are made of, and who runs trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.execution.executor import Executor, ExecutorError
    from medpipe_core.execution.exported_files import ExportError, FileCheck
    from medpipe_core.execution.exporting import Export, export_model
    from medpipe_core.execution.results import RunResult
    from medpipe_core.execution.trained_model import Answer, TrainedModel, load_model
    from medpipe_core.execution.trial import Fidelity, Trial, TrialRecord

__all__ = [
    "Answer",
    "Executor",
    "ExecutorError",
    "Export",
    "ExportError",
    "Fidelity",
    "FileCheck",
    "RunResult",
    "TrainedModel",
    "Trial",
    "TrialRecord",
    "export_model",
    "load_model",
]

__getattr__ = lazy_names(
    __name__,
    {
        "executor": ("Executor", "ExecutorError"),
        "exported_files": ("ExportError", "FileCheck"),
        "exporting": ("Export", "export_model"),
        "results": ("RunResult",),
        "trained_model": ("Answer", "TrainedModel", "load_model"),
        "trial": ("Fidelity", "Trial", "TrialRecord"),
    },
)
