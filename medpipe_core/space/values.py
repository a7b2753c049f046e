"""Plain values, and the keys under which they stand in genotypes."""

from __future__ import annotations

import json
from typing import Any

from medpipe_core.space.errors import SpaceError

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


def plain_value(value: Any) -> Value:
    """Return a value as a description holds it, lists as tuples.

    Raises:
        SpaceError: It is no plain value.
    """
    if isinstance(value, list | tuple):
        return tuple(plain_value(part) for part in value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    raise SpaceError(
        f"{value!r} is no plain value; a description holds bool, int, finite float, str, None "
        "and tuples of these"
    )
