"""What a command says that a signal ends; by the descriptor, where nothing buffers."""

from __future__ import annotations

import contextlib
import os

from medpipe_core.config.errors import Interrupted

_INTERRUPTED = 130


def say_when(_: int) -> None:
    """Say that a signal was heard, and when it is obeyed; it may have come in a `write`."""
    _say("stopping at the next step; press again, or signal again, to stop at once")


def ended(command: str, end: BaseException) -> int:
    """Say what ended a command; return its exit code."""
    _say(f"{command}: {end}" if str(end) else f"{command}: interrupted")
    return end.exit_code if isinstance(end, Interrupted) else _INTERRUPTED


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
