"""Standard output and error of a command: they take any text, and never end what the command does.

What stands behind them may be full, closed, gone or unable to write a sign; the work that is being
told of is worth more than its telling.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from medpipe_core.report.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# How our own signs are written where an encoding lacks them; a lost minus would be a wrong figure.
_INSTEAD = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "…": "...",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "²": "^2",
        "³": "^3",
        "→": "->",
    }
)


class CommandOutput(io.TextIOBase):
    """Writes to a stream what can be written; what cannot be goes nowhere.

    Args:
        stream: Standard output or error; None where it was closed before Python began.
        codes: Whether control codes are meant, as those of a progress bar.

    Attributes:
        lost: Why text was lost, or the empty text. A reader who has left has read enough.
        left: Whether the reader has left.
    """

    def __init__(self, stream: TextIO | None, *, codes: bool = False) -> None:
        self._stream = stream
        self._codes = codes
        self.lost = ""
        self.left = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def terminal(self) -> CommandOutput:
        """The same stream for somebody who writes control codes and means them."""
        return CommandOutput(self._stream, codes=True)

    def write(self, text: str) -> int:
        """Write a text; control codes in it are made visible."""
        shown = text if self._codes else printable(text)
        with self._unbroken():
            if self._stream is None:
                raise OSError("it is closed")
            try:
                self._stream.write(shown)
            except UnicodeEncodeError:
                plain = shown.translate(_INSTEAD)
                self._stream.write(plain.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        if self._stream is not None:
            with self._unbroken():
                self._stream.flush()

    def writable(self) -> bool:
        """Say that anything can be written."""
        return True

    def isatty(self) -> bool:
        """Say whether the stream is a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor."""
        if self._stream is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._stream.fileno()

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.left = True
            self._forget()
        except (OSError, ValueError) as error:
            self.lost = getattr(error, "strerror", None) or str(error)
            self._forget()

    def _forget(self) -> None:
        """Let what is still buffered go nowhere, or Python would complain at its end."""
        with contextlib.suppress(OSError, ValueError):
            target = self.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, target)
            os.close(nowhere)


@contextlib.contextmanager
def command_output() -> Iterator[CommandOutput]:
    """Put standard output and error into safe hands; give the former."""
    _occupy_standard_descriptors()
    out, errors = CommandOutput(sys.stdout), CommandOutput(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            yield out
        finally:
            out.flush()
            errors.flush()


def write_line(stream: TextIO, text: str) -> None:
    """Write a line at once, with nothing in it that a terminal would obey."""
    stream.write(f"{printable(text)}\n")
    stream.flush()


def _occupy_standard_descriptors() -> None:
    """Open what is closed of the descriptors 0 to 2; else a file of the run would be given one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.close(opened)
