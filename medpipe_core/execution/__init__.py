"""The order of a run and its stages, the trials that they are made of, and who runs trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.execution.executor import Executor, ExecutorError
    from medpipe_core.execution.results import RunResult
    from medpipe_core.execution.trial import Fidelity, Trial, TrialRecord

__all__ = ["Executor", "ExecutorError", "Fidelity", "RunResult", "Trial", "TrialRecord"]

__getattr__ = lazy_names(
    __name__,
    {
        "executor": ("Executor", "ExecutorError"),
        "results": ("RunResult",),
        "trial": ("Fidelity", "Trial", "TrialRecord"),
    },
)
