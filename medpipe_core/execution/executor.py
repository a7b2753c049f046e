"""What every executor is: it runs trials somewhere, and hands their records back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from medpipe_core.errors import MedpipeError
from medpipe_core.execution.run_memory import RunMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.trial import Trial, TrialRecord


class ExecutorError(MedpipeError):
    """An executor that cannot run trials here, or lost the means to."""


class Executor(ABC):
    """Runs the trials of one run; the trial does not know where.

    A registered factory is called as `factory(context, **its settings)`, before the run has a
    folder; what it cannot do it has to say then.

    Args:
        context: The run's configuration, bound.

    Attributes:
        memory: The run's, set before the first trial. Trials that run in this process are gone on
            with by it. While trials run elsewhere, call its `waiting` at least each second: it
            saves the run, and ends it when a signal has come.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.memory = RunMemory()

    @abstractmethod
    def run(
        self, trials: Iterable[Trial], development: Development, emit: Emit
    ) -> Iterator[TrialRecord]:
        """Run trials, and yield each one's record as soon as it is there.

        The next trial is asked for when there is room to run it, so that `trials` may decide by
        the records so far.

        Args:
            trials: What to run.
            development: The run's development data.
            emit: Told of what the trials tell.

        Raises:
            ExecutorError: It can run no trial any more.
        """

    def run_one(self, trial: Trial, development: Development, emit: Emit) -> TrialRecord:
        """Run one trial and return its record."""
        (record,) = self.run([trial], development, emit)
        return record

    def close(self) -> None:  # noqa: B027  (an executor may have nothing to give back)
        """Give back what trials were run with; nothing runs afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
