"""The parameters of a model as people read them: dotted names, types, defaults, meanings."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from medpipe_core.plugins.parameters import inner_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a registered name.

    Attributes:
        name: Its name, dotted where it lies inside another.
        type: Its type, as text.
        limits: What a number, or each number in it, has to be, such as `≥ 0, < 1`; or empty.
        required: Whether it has no default.
        default: Its default as plain data; None where it is required.
        description: One line about it, or an empty text.
    """

    name: str
    type: str
    limits: str
    required: bool
    default: Any
    description: str


def list_parameters(model: type[BaseModel]) -> tuple[Parameter, ...]:
    """Return the parameters of a model, those of models inside it one by one."""
    return tuple(_walk(model, "", None))


def type_text(annotation: Any) -> str:
    """Return an annotation as text.

    Example:
        >>> type_text(tuple[int, ...] | None)
        'tuple[int, ...] | None'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is ...:
        return "..."
    if annotation is types.NoneType:
        return "None"
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_text, arguments))
    if origin is not None and arguments:
        return f"{type_text(origin)}[{', '.join(map(_argument, arguments))}]"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).removeprefix("typing.")


def _walk(model: type[BaseModel], prefix: str, given: Any) -> Iterator[Parameter]:
    for name, field in model.model_fields.items():
        default = getattr(given, name) if isinstance(given, BaseModel) else _default(field)
        inner = inner_model(field.annotation)
        if inner is not None and default is not None:
            yield from _walk(inner, f"{prefix}{name}.", default)
            continue
        required = default is PydanticUndefined
        yield Parameter(
            f"{prefix}{name}",
            type_text(field.annotation),
            ", ".join(dict.fromkeys([*_signs(field.metadata), *_limits(field.annotation)])),
            required,
            None if required else to_jsonable_python(default, fallback=repr),
            field.description or "",
        )


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not None and not field.default_factory_takes_validated_data:
        return field.get_default(call_default_factory=True)
    return field.get_default()


def _limits(annotation: Any) -> Iterator[str]:
    yield from _signs(getattr(annotation, "__metadata__", ()))
    for part in typing.get_args(annotation):
        yield from _limits(part)


def _signs(metadata: Iterable[Any]) -> Iterator[str]:
    for limit in metadata:
        for name, sign in _LIMITS.items():
            if getattr(limit, name, None) is not None:
                yield f"{sign} {getattr(limit, name)}"


def _argument(argument: Any) -> str:
    if isinstance(argument, list):
        return f"[{', '.join(map(type_text, argument))}]"
    return type_text(argument)
