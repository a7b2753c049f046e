"""Trials that an earlier process has finished are not run again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from medpipe_core.execution.executor import Executor
from medpipe_core.execution.worker_messages import read_record, record_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.run_memory import RunMemory
    from medpipe_core.execution.trial import Trial, TrialRecord


class RememberingExecutor(Executor):
    """Hands trials to another executor, unless the run's memory has their records.

    Args:
        executor: Runs them; it is given the memory, so that it can go on with what was under way.
        memory: The run's.
    """

    def __init__(self, executor: Executor, memory: RunMemory) -> None:
        super().__init__(executor.context)
        self._executor = executor
        self.memory = executor.memory = memory

    def run(
        self, trials: Iterable[Trial], development: Development, emit: Emit
    ) -> Iterator[TrialRecord]:
        """Run trials; records that were remembered say that they were told before.

        What is remembered is handed back before the next trial is asked for, as it was at first:
        which one that is may depend on it.
        """
        coming = iter(trials)
        for trial in coming:
            known = self._known(trial)
            if known is not None:
                yield known
                continue
            remembered: list[TrialRecord] = []
            new = self._new(trial, coming, remembered)
            for record in self._executor.run(new, development, emit):
                self._remember(record)
                yield record
            yield from remembered

    def run_one(self, trial: Trial, development: Development, emit: Emit) -> TrialRecord:
        """Run one, or return what is remembered of it."""
        known = self._known(trial)
        if known is None:
            known = self._executor.run_one(trial, development, emit)
            self._remember(known)
        return known

    def _new(
        self, first: Trial, others: Iterator[Trial], remembered: list[TrialRecord]
    ) -> Iterator[Trial]:
        """Iterate over trials until one is remembered, which is put down."""
        yield first
        for trial in others:
            known = self._known(trial)
            if known is not None:
                remembered.append(known)
                return
            yield trial

    def _known(self, trial: Trial) -> TrialRecord | None:
        result = self.memory.result(trial.name)
        if result is None:
            return None
        return replace(read_record(trial, result["record"], result["weights"]), told=True)

    def _remember(self, record: TrialRecord) -> None:
        weights = None if record.weights is None else dict(record.weights)
        told = {"record": record_message(record), "weights": weights}
        self.memory.finish(record.trial.name, told)
