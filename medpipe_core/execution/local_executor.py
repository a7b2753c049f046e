"""Trials on this machine: in the run's own process, or in several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.execution.executor import Executor
from medpipe_core.execution.trial import TrialRunner
from medpipe_core.execution.worker_pool import WorkerPool
from medpipe_core.plugins import THIS_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.execution.trial import Trial, TrialRecord


class LocalExecutor(Executor):
    """Runs trials here, one after another, or `workers` at a time in processes of their own.

    The records are the same either way. A process of its own makes plugins, space and data from
    the run's configuration, and costs a start of some seconds and the memory of the data; it has
    as many threads as the run, so give `threads` a share of the cores.

    Args:
        context: The run's configuration, bound.
        workers: Processes; 1 is the run's own.

    Raises:
        ConfigurationError: Several processes are asked for, but a part of the run is known to this
            process alone.
    """

    def __init__(self, context: RunContext, *, workers: int = 1) -> None:
        super().__init__(context)
        self._runner: tuple[Development, TrialRunner] | None = None
        self._pool: WorkerPool | None = None
        if workers > 1:
            _refuse_what_is_made_here(context, workers)
            hours = context.keys.trial.hours
            self._pool = WorkerPool(context.configuration.to_yaml(), workers, hours=hours)

    def run(
        self, trials: Iterable[Trial], development: Development, emit: Emit
    ) -> Iterator[TrialRecord]:
        """Run trials; in one process they come back in their order."""
        if self._pool is not None:
            yield from self._pool.run(trials, emit, self.memory.waiting)
            return
        for trial in trials:
            yield self._here(trial, development, emit)

    def run_one(self, trial: Trial, development: Development, emit: Emit) -> TrialRecord:
        """Run one trial; a retraining in the run's own process, where it can be gone on with."""
        if trial.purpose == "retrain":
            return self._here(trial, development, emit)
        return super().run_one(trial, development, emit)

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def _here(self, trial: Trial, development: Development, emit: Emit) -> TrialRecord:
        if self._runner is None or self._runner[0] is not development:
            self._runner = development, TrialRunner(self.context, development)
        return self._runner[1].run(trial, emit, self.memory)


def _refuse_what_is_made_here(context: RunContext, workers: int) -> None:
    configuration = context.configuration
    for kind in ("space", "searcher", "dataset"):
        name = getattr(configuration, kind)
        if context.registry.entry(kind, name).distribution == THIS_PROCESS:
            raise ConfigurationError(
                [
                    f"executor.workers={workers}: {kind} {name!r} was made in this process, so "
                    "other processes cannot make it; register it in a plugin (a file will do: "
                    "plugins.load=[my_plugin.py]), or use executor.workers=1"
                ]
            )
