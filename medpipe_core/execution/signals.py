"""Stopping cleanly on SIGINT, SIGTERM, and SIGUSR1, which batch systems send before the end."""

from __future__ import annotations

import atexit
import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

from medpipe_core.config.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_AGAIN = 0.02  # seconds, after which a signal that nothing can be done about is taken again
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
        self._raised: int | None = None
        self._waiting = False
        self._timer: threading.Timer | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked is not None

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._asked is not None:
            raise Interrupted(self._asked)

    @contextlib.contextmanager
    def undisguised(self) -> Iterator[None]:
        """Raise `Interrupted` where what a signal raised became an error on its way out.

        A module of C that is imported makes an `ImportError` of it: "initialization failed".
        """
        try:
            yield
        except Exception as error:
            if self._raised is not None:
                raise Interrupted(self._raised) from error
            raise

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

        While torch is imported nothing is raised: its C++ calls Python there and ends the whole
        process if an exception comes out of it. The signal is taken again, until that is over.

        Raises:
            Interrupted: It is the second one, or nobody waits for steps.
        """
        if self._waiting:  # another one, meanwhile
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if self._asked is not None:
            signal.signal(number, signal.SIG_DFL)
            raise Interrupted(number)
        if not self._stepping and _imports_torch(frame):
            self._take_later(number)
            return
        self._asked = number
        if not self._stepping:
            self._raised = number
            raise Interrupted(number)
        self._on_first(number)

    def lost(self, end: Interrupted) -> None:
        """Take a signal again that was raised where nothing can be, as in a `__del__`."""
        self._asked = self._raised = None
        self._take_later(end.signal_number)

    def end(self) -> None:
        """Take nothing again any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _take_later(self, number: int) -> None:
        self._waiting = True
        self._timer = threading.Timer(_AGAIN, self._send_again, (number,))
        self._timer.daemon = True
        self._timer.start()

    def _send_again(self, number: int) -> None:
        self._waiting = False
        if hasattr(signal, "pthread_kill"):  # it wakes a main thread that sleeps
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)


@contextlib.contextmanager
def stopping(on_first: Callable[[int], None]) -> Iterator[Stop]:
    """Take signals inside the block.

    Outside the main thread Python takes no signals, and nothing changes.
    """
    stop = Stop(on_first)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    unraisable = sys.unraisablehook

    def heard(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Interrupted):
            stop.lost(what.exc_value)
        else:
            unraisable(what)

    before = {number: signal.signal(number, stop.take) for number in _SIGNALS}
    sys.unraisablehook = heard
    try:
        yield stop
    finally:
        sys.unraisablehook = unraisable
        stop.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_at_exit() -> None:
    """Let no signal change how a command ended once it has: torch takes a second to be put away."""
    atexit.unregister(_ignore)
    atexit.register(_ignore)


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _imports_torch(frame: FrameType | None) -> bool:
    """Say whether a module of torch's is being imported where the program stands."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__"))
            if name == "torch" or name.startswith("torch."):
                return True
        frame = frame.f_back
    return False
