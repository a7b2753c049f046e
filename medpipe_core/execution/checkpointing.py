"""When a run is saved, and when it stops to be gone on with."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from medpipe_core.execution.run_memory import RunMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from medpipe_core.config.settings import CheckpointKeys
    from medpipe_core.execution.signals import Stop

# Saving takes a fiftieth of the time at most: where it is slow it is done less often.
_LEAST_RATIO = 50.0


class CheckpointedMemory(RunMemory):
    """The memory of a run that is on the disk as well, and hears signals.

    Args:
        keys: How often it is saved.
        write: Writes a state down.
        stop: Who takes signals; None for nobody.
        saved: What was saved by an earlier process.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        keys: CheckpointKeys,
        write: Callable[[Any], object],
        *,
        stop: Stop | None = None,
        saved: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(saved)
        self._keys = keys
        self._write = write
        self._stop = stop
        self._clock = clock
        self._steps = 0
        self._last = clock()
        self._cost = 0.0

    def finish(self, name: str, result: Any) -> None:
        """Note the result of a part, which counts as a step."""
        super().finish(name, result)
        self._steps += 1

    def between_steps(self) -> None:
        """Count a step, and do as `waiting`."""
        self._steps += 1
        self.waiting()

    def waiting(self) -> None:
        """Save if it is time; if a signal has come, save and stop.

        Raises:
            Interrupted: A signal has come.
            StorageError: The run cannot be saved.
        """
        asked = self._stop is not None and self._stop.asked
        if asked or self._due():
            self.save()
        if self._stop is not None:
            self._stop.check()

    def save(self) -> None:
        """Save now.

        Raises:
            StorageError: It cannot be written.
            StateError: A part has a state that cannot be written down.
        """
        began = self._clock()
        if self.beside is not None:
            self.beside()
        self._write(self.state_dict())
        self._last = self._clock()
        self._cost = self._last - began
        self._steps = 0

    @contextlib.contextmanager
    def stepping(self) -> Iterator[None]:
        """Hear signals between steps inside the block, not wherever the program stands."""
        with contextlib.ExitStack() as stack:
            if self._stop is not None:
                stack.enter_context(self._stop.between_steps())
            yield

    def _due(self) -> bool:
        if self._keys.steps is not None and self._steps >= self._keys.steps:
            return True
        if self._keys.seconds is None:
            return False
        wait = max(self._keys.seconds, _LEAST_RATIO * self._cost)
        return self._clock() - self._last >= wait
