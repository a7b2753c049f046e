"""Reading JSON that anybody may have written."""

from __future__ import annotations

import json
import re
import reprlib
from typing import TYPE_CHECKING, Any

from medpipe_core.space.values import is_whole

if TYPE_CHECKING:
    from medpipe_core.errors import MedpipeError

_LARGEST_TEXT = 16 * 2**20
# A description is at most 64 levels deep, and each has a table of its own and one of its parts.
_DEEPEST = 160
_MAYBE_HALVES = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(text: str, error: type[MedpipeError], what: str) -> Any:
    """Parse JSON; every failure becomes `error`, with line and column where JSON itself is wrong.

    Refused are, beside what is no JSON: a key that is there twice in one object, NaN and infinity,
    nesting beyond reason, halves of characters, and texts above 16 MiB.

    Args:
        text: The JSON text.
        error: What to raise.
        what: What it should be, such as `a genotype`.
    """
    if not isinstance(text, str):
        raise error(f"not {what}: its JSON text is needed, but got a {type(text).__name__}")
    if len(text) > _LARGEST_TEXT:
        raise error(f"not {what}: the text has {len(text):,} characters")
    try:
        found = json.loads(text, object_pairs_hook=_table, parse_constant=_constant)
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else problem
        raise error(f"not {what}: the text is not usable JSON ({reason})") from None
    _check_nesting(found, error, what)
    if _MAYBE_HALVES.search(text):
        _check_texts(found, error, what)
    return found


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {reprlib.repr(twice)} is there twice in one object")
    return table


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _check_nesting(found: Any, error: type[MedpipeError], what: str) -> None:
    level = [found]
    for _ in range(_DEEPEST):
        level = [part for one in level for part in _inside(one)]
        if not level:
            return
    raise error(f"not {what}: the text is nested deeper than {_DEEPEST} levels")


def _check_texts(found: Any, error: type[MedpipeError], what: str) -> None:
    left = [found]
    while left:
        one = left.pop()
        texts = [*one, *one.values()] if isinstance(one, dict) else _inside(one)
        for text in texts:
            if isinstance(text, str) and not is_whole(text):
                raise error(
                    f"not {what}: {reprlib.repr(text)} has half of a character (a lone surrogate)"
                )
        left += _inside(one)


def _inside(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return list(found.values())
    return found if isinstance(found, list) else []
