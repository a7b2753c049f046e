"""Defaults of a signature that its own annotations refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.plugins.errors import ParameterError
from medpipe_core.plugins.parameters import check

if TYPE_CHECKING:
    from pydantic import BaseModel


def wrong_defaults(model: type[BaseModel]) -> list[str]:
    """Return what is wrong with the defaults of a model that follows from a signature.

    Looked at are plain values, which a space or a configuration could hold. None is let through,
    as a sign that nothing was given.
    """
    fields = model.model_fields.items()
    given = {
        name: field.default
        for name, field in fields
        if not field.is_required() and field.default is not None and _is_plain(field.default)
    }
    try:
        check(model, given, "defaults")
    except ParameterError as error:
        lacking = {f"{name} is required" for name, field in fields if field.is_required()}
        return [problem for problem in error.problems if problem not in lacking]
    return []


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
