"""Dotted keys: how `search.epochs` names a field of a tree of pydantic models."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from medpipe_core.errors import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

Model = type[BaseModel]


@dataclass(frozen=True)
class Key:
    """One key that can be set.

    Attributes:
        name: Its dotted name, relative to the model it was asked of.
        default: Its default as plain data; `REQUIRED` where it has none.
        description: One line on what it is.
    """

    name: str
    default: Any
    description: str


REQUIRED = PydanticUndefined


def walk(model: Model, prefix: str = "") -> Iterator[Key]:
    """Iterate over the keys of a model in the order of its fields, nested models inside."""
    for name, field in model.model_fields.items():
        inner = _inner_model(field)
        if inner is not None:
            yield from walk(inner, f"{prefix}{name}.")
        else:
            yield Key(f"{prefix}{name}", _default(field), field.description or "")


def knows(model: Model, key: str) -> bool:
    """Say whether a dotted key names a field, a nested model, or an entry of a mapping field."""
    name, dot, rest = key.partition(".")
    field = model.model_fields.get(name)
    if field is None:
        return False
    inner = _inner_model(field)
    if not dot:
        return True
    if inner is not None:
        return knows(inner, rest)
    return _holds_mapping(field.annotation)


def hint(key: str, own: Iterable[str], every: Iterable[str], who: str) -> str:
    """Return what is near an unknown key, or what there is of its group.

    Args:
        key: The unknown one.
        own: The keys of its group.
        every: The keys of all groups.
        who: Whose keys the group's are, such as `space=toy`.
    """
    mine = list(own)
    group = f"{key.partition('.')[0]}."
    tails = {name.removeprefix(group): name for name in mine}
    # The group is the same, and would make every key of it look alike.
    if near := nearest(key.removeprefix(group), tails):
        return did_you_mean(key, [tails[tail] for tail in near])
    known = list(every)
    if nearest(key, known):
        return did_you_mean(key, known)
    return did_you_mean(key, mine).replace("Known", f"Keys of {who}") or f" {who} takes no keys."


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into dotted keys; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if _is_branch(value):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested dicts.

    Raises:
        ValueError: A key is given as a value and as a group of keys.
    """
    tree: dict[str, Any] = {}
    for key in sorted(flat, key=lambda key: key.count(".")):
        *above, last = key.split(".")
        node: Any = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{key}: its group is also given as one value")
        value = flat[key]
        node[last] = dict(value) if isinstance(value, dict) else value
    return tree


def shadowed(key: str, values: Mapping[str, Any]) -> bool:
    """Say whether the user's keys replace a preset's key, or the whole group it is in."""
    return any(other == key or key.startswith(f"{other}.") for other in values)


def _is_branch(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and name and "." not in name for name in value)
    )


def _inner_model(field: FieldInfo) -> Model | None:
    for annotation in _alternatives(field.annotation):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _holds_mapping(annotation: Any) -> bool:
    return any(
        option is Any or typing.get_origin(option) is dict or option is dict
        for option in _alternatives(annotation)
    )


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return tuple(a for o in typing.get_args(annotation) for a in _alternatives(o))
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    return (annotation,)


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not None and not field.default_factory_takes_validated_data:
        default = field.get_default(call_default_factory=True)
    else:
        default = field.get_default()
    if isinstance(default, tuple):
        return list(default)
    return default
