"""Plain values, and the keys under which they stand in genotypes."""

from __future__ import annotations

import json
import reprlib
from typing import Any

from medpipe_core.space.errors import SpaceError

_DEEPEST = 8
_MOST_BITS = 1024

Value = bool | int | float | str | None | tuple[Any, ...]


def value_key(value: Value) -> str:
    """Return the text that stands for a value in genotypes and paths.

    A number is written as short as it can be, so `0`, `0.0` and `-0.0` share the key `"0"`.

    Example:
        >>> value_key(0.5), value_key(-30.0), value_key(True), value_key((1, 2.5))
        ('0.5', '-30', 'true', '[1,2.5]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{','.join(value_key(part) for part in value)}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def plain_value(value: Any, *, depth: int = 0) -> Value:
    """Return a value as a description holds it, lists as tuples.

    Raises:
        SpaceError: It is no plain value, or tuples are nested deeper than eight levels.
    """
    if isinstance(value, list | tuple):
        if depth == _DEEPEST:
            raise SpaceError(f"a plain value is nested deeper than {_DEEPEST} levels")
        return tuple(plain_value(part, depth=depth + 1) for part in value)
    if isinstance(value, str):
        return plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise SpaceError(f"an integer of {value.bit_length()} bits is too large for a value")
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    raise SpaceError(
        f"{reprlib.repr(value)} is no plain value; a description holds bool, int, finite float, "
        "str, None and tuples of these"
    )


def plain_text(text: str) -> str:
    """Return a text that files can hold.

    Raises:
        SpaceError: It has a lone surrogate, half of a character, which no file can.
    """
    if not is_whole(text):
        raise SpaceError(f"{reprlib.repr(text)} has half of a character (a lone surrogate)")
    return text


def is_whole(text: str) -> bool:
    """Say whether a text has no lone surrogate, so that it can be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
