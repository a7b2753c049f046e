"""Several worker processes, each with one trial at a time."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, cast

import torch

from medpipe_core.execution.executor import ExecutorError
from medpipe_core.execution.trial import Trial, TrialRecord
from medpipe_core.execution.worker_messages import read_record, receive, send, trial_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from torch import Tensor

    from medpipe_core.events import Emit


_TRIES = 3
_POLL = 0.2  # seconds
_GRACE = 60.0  # seconds, for its start above all


class Worker:
    """One process, as the run sees it.

    Args:
        configuration: Text of the run's configuration file.
    """

    def __init__(self, configuration: str) -> None:
        self.trial: Trial | None = None
        self.ready = False
        self.late = False
        self.began = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medpipe_core.execution.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.answers = cast("BinaryIO", self._process.stdout)
        # What is raw may write a part only; answers are raw, because they are waited for.
        self._orders = io.BufferedWriter(cast("io.RawIOBase", self._process.stdin))
        self._order({"configuration": configuration, "threads": torch.get_num_threads()})

    def begin(self, trial: Trial) -> None:
        """Let it run a trial."""
        self.trial = trial
        self.began = time.monotonic()
        self._order(trial_message(trial), trial.initial)

    def kill(self) -> None:
        """End it because its trial takes too long; that is noticed where its answers are read."""
        self.late = True
        self._process.kill()

    def end(self) -> str:
        """End it whatever it does; return in words how it ended."""
        self._process.kill()
        code = self._process.wait()
        for stream in (self._orders, self.answers):
            with contextlib.suppress(OSError):
                stream.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def ended(self) -> str:
        """Wait for a process that has closed its output; return in words how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        return self.end()

    def _order(
        self, message: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        # A process that is gone says so where its answers are read.
        with contextlib.suppress(BrokenPipeError):
            send(self._orders, message, tensors)


class WorkerPool:
    """Runs trials in worker processes, which live until it is closed.

    Args:
        configuration: Text of the run's configuration file.
        count: How many processes.
        hours: How long a trial may take; a process that does not end it itself is killed.
    """

    def __init__(self, configuration: str, count: int, *, hours: float | None = None) -> None:
        self._configuration = configuration
        self._count = count
        self._most = None if hours is None else 3600 * hours + max(_GRACE, 360 * hours)
        self._workers: list[Worker] = []
        self._again: deque[Trial] = deque()
        self._losses: Counter[str] = Counter()

    def run(
        self, trials: Iterable[Trial], emit: Emit, between: Callable[[], None] = lambda: None
    ) -> Iterator[TrialRecord]:
        """Run trials; yield records as they come. One whose process ends is tried again twice.

        Args:
            trials: What to run.
            emit: Told of what the trials tell, and of processes that ended (`trial-warning`).
            between: Called at least each half second.

        Raises:
            ExecutorError: A process cannot make what the configuration names.
        """
        waiting = iter(trials)
        idle = deque(self._workers)
        self._again.clear()
        self._losses.clear()
        with self._none_left_busy(), selectors.DefaultSelector() as selector:
            while True:
                busy = len(selector.get_map())
                while idle or len(self._workers) < self._count:
                    trial = self._again.popleft() if self._again else next(waiting, None)
                    if trial is None:
                        break
                    worker = idle.popleft() if idle else self._started()
                    worker.begin(trial)
                    selector.register(worker.answers, selectors.EVENT_READ, worker)
                    busy += 1
                if not busy:
                    return
                between()
                self._end_late()
                for key, _ in selector.select(_POLL):
                    worker = key.data
                    record = self._taken(worker, emit)
                    lost = worker not in self._workers
                    if lost or record is not None:
                        selector.unregister(key.fileobj)
                    if record is not None:
                        if not lost:
                            idle.append(worker)
                        yield record

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.pop().end()

    @contextlib.contextmanager
    def _none_left_busy(self) -> Iterator[None]:
        """End the processes whose record nobody waits for any more."""
        try:
            yield
        finally:
            for worker in [worker for worker in self._workers if worker.trial is not None]:
                self._workers.remove(worker)
                worker.end()

    def _started(self) -> Worker:
        worker = Worker(self._configuration)
        self._workers.append(worker)
        return worker

    def _taken(self, worker: Worker, emit: Emit) -> TrialRecord | None:
        """Take one answer; return a record if it is one."""
        trial = worker.trial
        assert trial is not None  # noqa: S101  (only workers with a trial are listened to)
        answer = receive(worker.answers)
        if answer is None:
            return self._lost(worker, trial, emit)
        message, tensors = answer
        match message:
            case {"event": event, "fields": fields}:
                emit(event, **fields)
            case {"ready": True}:
                worker.ready = True
            case {"error": problem}:
                raise ExecutorError(f"a worker process: {problem}")
            case {"record": content}:
                worker.trial = None
                return read_record(trial, content, tensors)
        return None

    def _lost(self, worker: Worker, trial: Trial, emit: Emit) -> TrialRecord | None:
        """Take that a process has ended; return the failed record, or let the trial begin again."""
        self._workers.remove(worker)
        how = worker.ended()
        if worker.late:
            return TrialRecord(trial, failed=f"it took longer than it may and was ended ({how})")
        if not worker.ready:
            raise ExecutorError(
                f"a worker process ended before it was ready ({how}); what it wrote stands "
                "above. executor.workers=1 runs trials in the run's own process"
            )
        self._losses[trial.name] += 1
        if self._losses[trial.name] < _TRIES:
            self._again.append(trial)
            emit(
                "trial-warning",
                message=f"the process of a trial ended ({how}), as if it was killed; the trial "
                "begins again",
                genotype=trial.genotype.digest,
            )
            return None
        times = f"{_TRIES} times, the last time with {how}"
        return TrialRecord(trial, failed=f"its process ended {times}, as if it was killed")

    def _end_late(self) -> None:
        if self._most is None:
            return
        for worker in self._workers:
            if worker.trial is not None and time.monotonic() - worker.began > self._most:
                worker.kill()
