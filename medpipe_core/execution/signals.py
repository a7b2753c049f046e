"""Stopping cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Remembers a signal; as a listener of events it raises at the next one.

    So a run stops between two steps, never in the middle of one. A second signal ends it at once.

    Args:
        on_first: Called with the signal's number when the first one comes.
    """

    def __init__(self, on_first: Callable[[int], None]) -> None:
        self._on_first = on_first
        self._asked: int | None = None

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._asked is not None:
            raise Interrupted(self._asked)

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal.

        Raises:
            Interrupted: It is the second one.
        """
        if self._asked is not None:
            raise Interrupted(number)
        self._asked = number
        self._on_first(number)


@contextlib.contextmanager
def stopping(on_first: Callable[[int], None]) -> Iterator[Stop]:
    """Take SIGINT and SIGTERM inside the block.

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
