"""Stopping cleanly on SIGINT, SIGTERM, and SIGUSR1, which batch systems send before the end."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

from medpipe_core.config.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)


class Stop:
    """Takes signals: between steps where there are steps, at once where there are none.

    Within `between_steps` the first signal is remembered and whoever steps calls `check` when its
    state is whole. Elsewhere, as while data are read, it raises where the program stands. A second
    signal always does, and a third is the system's to answer.

    Args:
        on_first: Called with the number of a first signal that is heard at the next step.
    """

    def __init__(self, on_first: Callable[[int], None]) -> None:
        self._on_first = on_first
        self._stepping = False
        self._asked: int | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked is not None

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._asked is not None:
            raise Interrupted(self._asked)

    @contextlib.contextmanager
    def between_steps(self) -> Iterator[None]:
        """Remember a signal that comes inside the block; call `check` there often, and after it."""
        before, self._stepping = self._stepping, True
        try:
            yield
        finally:
            self._stepping = before

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal.

        Raises:
            Interrupted: It is the second one, or nobody waits for steps.
        """
        if self._asked is not None:
            signal.signal(number, signal.SIG_DFL)
            raise Interrupted(number)
        self._asked = number
        if not self._stepping:
            raise Interrupted(number)
        self._on_first(number)


@contextlib.contextmanager
def stopping(on_first: Callable[[int], None]) -> Iterator[Stop]:
    """Take signals inside the block.

    Outside the main thread Python takes no signals, and nothing changes.
    """
    stop = Stop(on_first)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.take) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
