"""The errors medpipe raises on purpose, and the nearest-name hints they carry."""

from __future__ import annotations

import difflib
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class MedpipeError(Exception):
    """Base of every error that medpipe raises on purpose.

    Its text is meant for the person at the keyboard: what was asked, what was found, what is
    near, and what to do.
    """


class MissingExtraError(MedpipeError):
    """An optional package is asked for and not installed; the text says how to install it."""


class OperationError(MedpipeError):
    """Somebody's operation failed while it ran; the text names it, its plugin and the line.

    Whoever tries candidates lets the one that has this operation fail alone.
    """


def place_of(error: BaseException, author: str = "") -> str:
    """Return where outside of medpipe an error came up, as ` (at file:line)`, or an empty text.

    It is the innermost frame of the package that was entered first, not where a library that this
    package calls raised.

    Args:
        error: The error.
        author: A module of the package that is asked for, if it is known whose code ran; where none
            of its frames was entered, the first package's.
    """
    wanted = author.partition(".")[0]
    places: dict[str, str] = {}
    for frame, line in traceback.walk_tb(error.__traceback__):
        top = frame.f_globals.get("__name__", "").partition(".")[0]
        if top not in _MACHINERY or top == wanted:
            places[top] = f" (at {frame.f_code.co_filename}:{line})"
    return places.get(wanted) or next(iter(places.values()), "")


# Frames of these are how somebody's code was reached, or what it called.
_MACHINERY = frozenset({"medpipe_core", "pluggy", "torch", *sys.stdlib_module_names})


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun: `1 volume`, `2 volumes`, `2 classes`."""
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"


def nearest(word: str, names: Iterable[str], *, limit: int = 3) -> list[str]:
    """Return up to `limit` of `names` that look like `word`, the most alike first."""
    known = {name.lower(): name for name in names}
    return [known[hit] for hit in difflib.get_close_matches(word.lower(), known, limit, 0.5)]


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return `" Did you mean 'a' or 'b'?"`, or the known names where none is near."""
    known = sorted(names)
    close = nearest(word, known)
    if close:
        return f" Did you mean {' or '.join(repr(name) for name in close)}?"
    if not known:
        return ""
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f" Known: {shown}."
