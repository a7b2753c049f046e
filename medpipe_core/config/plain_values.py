"""What a value may be, whichever way it came: a command line, a file or Python.

The models of settings say what each key takes. What no key takes is told here, before any model
sees it, and what pydantic takes for something else than it says: `true` for 1, and 1 for `true`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 2**63 - 1
"""The largest whole number that a value may have."""
_LONGEST_TEXT, _LONGEST_KEY = 4096, 256
_DEEPEST = 32
_MOST_ENTRIES = 10_000


def impossible(key: str, value: Any) -> str:
    """Say what is wrong with a key and its value for every setting there is; else nothing."""
    if len(key) > _LONGEST_KEY or key.count(".") >= _DEEPEST:
        return f"{key[:40]}…: longer or deeper than any key is"
    entries = 0
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        problem = _impossible(part)
        if problem:
            return f"{key}: {problem}"
        inner = _inside(part)
        entries += len(inner)
        if depth >= _DEEPEST or entries > _MOST_ENTRIES:
            return f"{key}: more than {_MOST_ENTRIES} values, or deeper than {_DEEPEST}"
        waiting += ((one, depth + 1) for one in inner)
    return ""


def misread(given: Any, checked: Any, key: str = "") -> Iterator[str]:
    """Iterate over what a model took for something else than was given: flags and numbers.

    Args:
        given: Plain data, nested.
        checked: What the model made of it.
        key: Where in the model that is, dotted.
    """
    if isinstance(checked, bool) != isinstance(given, bool) and isinstance(checked, int | float):
        wanted = "true or false" if isinstance(checked, bool) else "a number"
        shown = str(given).lower() if isinstance(given, bool) else given
        yield f"{key}: give {wanted} (given {shown})"
    elif isinstance(given, Mapping) and isinstance(checked, BaseModel | Mapping):
        inner = dict(checked)
        for name, value in given.items():
            if name in inner:
                yield from misread(value, inner[name], f"{key}.{name}" if key else str(name))
    elif isinstance(given, list | tuple) and isinstance(checked, list | tuple):
        for value, other in zip(given, checked, strict=False):
            yield from misread(value, other, key)


def user_path(text: str | Path) -> Path:
    """Return a path as the user means it, `~` replaced.

    Raises:
        ValueError: No path can be like that, or there is no such user.
    """
    problem = _impossible(str(text))
    if problem:
        raise ValueError(problem)
    too_long = [part[:20] for part in Path(text).parts if len(os.fsencode(part)) > 255]
    if too_long:
        raise ValueError(f"{too_long[0]}… is longer than a file's name can be")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no user whose home {Path(text).parts[0]} would be") from None


def _path(text: str) -> str:
    user_path(text)
    return text


PathText = Annotated[str, AfterValidator(_path)]
"""The text of a path that can be."""


def _impossible(part: Any) -> str:
    match part:
        case str() if len(part) > _LONGEST_TEXT:
            return f"a text of {len(part)} characters; at most {_LONGEST_TEXT}"
        case str() if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in part):
            return "there is a sign in it that no text may have"
        case bool():
            return ""
        case int() if abs(part) > LARGEST:
            return f"larger than any number can be ({LARGEST})"
        case float() if part != part:
            return "not a number"
    return ""


def _inside(part: Any) -> list[Any]:
    match part:
        case dict():
            return [*part.keys(), *part.values()]
        case list() | tuple():
            return list(part)
    return []
