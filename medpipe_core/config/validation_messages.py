"""What is wrong with values of keys, in words: pydantic's findings by their dotted keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.config import dotted_keys as dotted
from medpipe_core.config import yaml_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from medpipe_core.config.dotted_keys import Model


_LISTS = ("tuple_type", "list_type")


def validation_messages(error: ValidationError, prefix: str, model: Model) -> Iterator[str]:
    """Iterate over one line for each problem.

    Args:
        error: What pydantic found.
        prefix: What the keys of the model begin with, such as `space.`.
        model: What was validated.
    """
    for problem in error.errors(include_url=False):
        where = _key_of(problem["loc"], model)
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            yield f"{prefix}{where}: must be given"
        elif not where:
            yield f"{prefix.removesuffix('.') or 'configuration'}: {text}"
        else:
            # A complaint about several keys together has said which values it means.
            given = problem["input"]
            shown = "" if isinstance(given, dict) else f" (given {_shown(given)})"
            yield f"{prefix}{where}: {text}{shown}{_hint(f'{prefix}{where}', problem)}"


def _hint(key: str, problem: Any) -> str:
    given = problem["input"]
    if problem["type"] in _LISTS and isinstance(given, str | int | float) and "," not in str(given):
        return f"; give a list, in brackets: {key}=[{_shown(given)}]"
    several = isinstance(given, str) and "," in given
    return "; several values make a sweep, with -m, or a list, in brackets" if several else ""


def _key_of(location: tuple[int | str, ...], model: Model) -> str:
    """Return the longest dotted key that a pydantic location starts with."""
    key = ""
    for part in location:
        further = f"{key}.{part}" if key else str(part)
        if not isinstance(part, str) or not dotted.knows(model, further):
            break
        key = further
    return key


def _shown(value: Any) -> str:
    text = (
        yaml_values.write(value)
        if isinstance(value, str | int | float | list | None)
        else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}…"
