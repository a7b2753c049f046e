"""A description as data that JSON can hold, and as a digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medpipe_core.space.budget import Budget
from medpipe_core.space.constraints import limit_from_plain, limit_to_plain
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    Shared,
    ValueChoice,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.space.constraints import Limit
    from medpipe_core.space.values import Value

_FORMAT = "medpipe-space-1"
_DEEPEST = 64


def digest(root: Mutable, budget: Budget | None, constraints: Sequence[Limit] = ()) -> str:
    """Return sixteen hexadecimal digits that stand for a description."""
    plain: list[Any] = [node_to_plain(root), None if budget is None else asdict(budget)]
    if constraints:
        plain.append([limit_to_plain(limit) for limit in constraints])
    text = json.dumps(plain, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def space_to_plain(
    name: str, root: Mutable, budget: Budget | None, constraints: Sequence[Limit]
) -> dict[str, Any]:
    """Return a space as data that JSON can hold."""
    plain: dict[str, Any] = {"format": _FORMAT, "name": name, "root": node_to_plain(root)}
    if budget is not None:
        plain["budget"] = asdict(budget)
    if constraints:
        plain["constraints"] = [limit_to_plain(limit) for limit in constraints]
    return plain


def space_from_plain(plain: Any) -> tuple[str, Mutable, Budget | None, list[Limit]]:
    """Read what `space_to_plain` gave: name, description, budget, constraints.

    Raises:
        SpaceError: It is something else.
    """
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise SpaceError(f"not a space: expected a JSON object of format {_FORMAT!r}")
    name, budget, limits = plain.get("name"), plain.get("budget"), plain.get("constraints", [])
    if not isinstance(name, str):
        raise SpaceError("not a space: its name must be a text")
    if budget is not None and (
        not isinstance(budget, dict) or budget.keys() - {"parameters", "multiply_adds"}
    ):
        raise SpaceError(f"not a space: its budget is {budget!r}")
    if not isinstance(limits, list):
        raise SpaceError(f"not a space: its constraints are {limits!r}")
    root = node_from_plain(plain.get("root"))
    found = None if budget is None else Budget(**budget)
    return name, root, found, list(map(limit_from_plain, limits))


def node_to_plain(node: Mutable) -> dict[str, Any]:
    """Return a node as data that JSON can hold."""
    match node:
        case ValueChoice():
            return {"values": [_value_to_plain(value) for value in node.values]}
        case Operation():
            plain: dict[str, Any] = {"operation": node.name, "kind": node.kind}
            plain["parameters"] = {
                name: node_to_plain(value)
                if isinstance(value, ValueChoice | Ref)
                else _value_to_plain(value)
                for name, value in node.parameters.items()
            }
            if node.neutral is not None:
                plain["neutral"] = {n: _value_to_plain(v) for n, v in node.neutral.items()}
            return plain
        case OperationChoice():
            return {"one_of": {k: node_to_plain(v) for k, v in node.candidates.items()}}
        case Repeat():
            return {"repeat": node_to_plain(node.template), "counts": list(node.counts)}
        case Group():
            return {"all_of": {k: node_to_plain(v) for k, v in node.children.items()}}
        case Shared():
            parts = {k: node_to_plain(v) for k, v in node.parts.items()}
            return {"shared": parts, "body": node_to_plain(node.body)}
        case Ref():
            return {"ref": node.name}
    raise SpaceError(f"{type(node).__name__} is not a kind of node that a description can hold")


def node_from_plain(plain: Any, *, depth: int = 0) -> Mutable:
    """Read what `node_to_plain` gave.

    Raises:
        SpaceError: It is something else, or nested deeper than 64 levels.
    """
    if depth > _DEEPEST:
        raise SpaceError(f"not a description: nested deeper than {_DEEPEST} levels")
    match plain:
        case {"values": [*values], **rest} if not rest:
            return ValueChoice(*values)
        case {"operation": str(name), "kind": str(kind), "parameters": dict(given), **rest} if (
            not rest.keys() - {"neutral"}
        ):
            parameters = {key: _parameter(value) for key, value in given.items()}
            neutral = rest.get("neutral")
            if neutral is not None and not isinstance(neutral, dict):
                raise SpaceError(f"not a description: neutral of {name!r} is {neutral!r}")
            return Operation(kind, name, parameters, neutral)
        case {"one_of": dict(candidates), **rest} if not rest:
            return OperationChoice(_nodes(candidates, depth))
        case {"repeat": template, "counts": [*counts], **rest} if not rest:
            return Repeat(node_from_plain(template, depth=depth + 1), tuple(counts))
        case {"all_of": dict(children), **rest} if not rest:
            return Group(_nodes(children, depth))
        case {"shared": dict(parts), "body": body, **rest} if not rest:
            return Shared(_nodes(parts, depth), node_from_plain(body, depth=depth + 1))
        case {"ref": str(name), **rest} if not rest:
            return Ref(name)
    found = sorted(map(str, plain)) if isinstance(plain, dict) else type(plain).__name__
    raise SpaceError(f"not a description: a node cannot consist of {found}")


def _parameter(value: Any) -> Value | ValueChoice | Ref:
    match value:
        case {"values": [*values]}:
            return ValueChoice(*values)
        case {"ref": str(name)}:
            return Ref(name)
    plain: Value = value
    return plain


def _nodes(plain: dict[str, Any], depth: int) -> dict[str, Mutable]:
    return {key: node_from_plain(value, depth=depth + 1) for key, value in plain.items()}


def _value_to_plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_value_to_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
