"""A description as data that JSON can hold, and as a digest."""

from __future__ import annotations

import hashlib
import json
import reprlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from medpipe_core.space.budget import Budget
from medpipe_core.space.constraints import limit_from_plain, limit_to_plain
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.extent import DEEPEST
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
from medpipe_core.space.sharing import join

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medpipe_core.space.constraints import Limit
    from medpipe_core.space.values import Value

_FORMAT = "medpipe-space-1"


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
        SpaceError: It is something else; the text names the place.
    """
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise SpaceError(f"not a space: expected a JSON object of format {_FORMAT!r}")
    odd = sorted(plain.keys() - {"format", "name", "root", "budget", "constraints"})
    if odd:
        raise SpaceError(f"not a space: it has {odd[0]!r}, which this version does not know")
    name, budget, limits = plain.get("name"), plain.get("budget"), plain.get("constraints", [])
    if not isinstance(name, str):
        raise SpaceError("not a space: its name must be a text")
    if budget is not None and (
        not isinstance(budget, dict) or budget.keys() - {"parameters", "multiply_adds"}
    ):
        raise SpaceError(f"not a space: its budget is {reprlib.repr(budget)}")
    if not isinstance(limits, list):
        raise SpaceError(f"not a space: its constraints are {reprlib.repr(limits)}")
    root = node_from_plain(plain.get("root"))
    found = None if budget is None else Budget(**budget)
    return (
        name,
        root,
        found,
        [_limit(number, limit) for number, limit in enumerate(limits, start=1)],
    )


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


def node_from_plain(plain: Any, *, path: str = "", depth: int = 0) -> Mutable:
    """Read what `node_to_plain` gave.

    Args:
        plain: The data.
        path: Where the node stands, for errors.
        depth: How many nodes are around it.

    Raises:
        SpaceError: It is something else, or nested deeper than 64 levels; the text names the place.
    """
    if depth > DEEPEST:
        raise SpaceError(f"not a description: nested deeper than {DEEPEST} levels")
    inside = _Inside(path, depth + 1)
    match plain:
        case {"values": [*values], **rest} if not rest:
            return _made(path, ValueChoice, *values)
        case {"operation": str(name), "kind": str(kind), "parameters": dict(given), **rest} if (
            not rest.keys() - {"neutral"}
        ):
            parameters = {key: inside.parameter(key, value) for key, value in given.items()}
            return _made(path, Operation, kind, name, parameters, rest.get("neutral"))
        case {"one_of": dict(candidates), **rest} if not rest:
            return _made(path, OperationChoice, inside.nodes(candidates))
        case {"repeat": template, "counts": [*counts], **rest} if not rest:
            return _made(path, Repeat, inside.node("each", template), counts)
        case {"all_of": dict(children), **rest} if not rest:
            return _made(path, Group, inside.nodes(children))
        case {"shared": dict(parts), "body": body, **rest} if not rest:
            return _made(path, Shared, inside.nodes(parts), inside.node("", body))
        case {"ref": str(name), **rest} if not rest:
            return _made(path, Ref, name)
    found = sorted(plain) if isinstance(plain, dict) else type(plain).__name__
    raise SpaceError(
        f"not a description: at {path or 'the root'}: a node cannot consist of "
        f"{reprlib.repr(found)}"
    )


def _limit(number: int, plain: Any) -> Limit:
    try:
        return limit_from_plain(plain)
    except SpaceError as error:
        raise SpaceError(f"not a space: constraint {number}: {error}") from None


@dataclass(frozen=True)
class _Inside:
    """Reads what lies under a node."""

    path: str
    depth: int

    def node(self, name: str, plain: Any) -> Mutable:
        path = join(self.path, name) if name else self.path
        return node_from_plain(plain, path=path, depth=self.depth)

    def nodes(self, plain: dict[str, Any]) -> dict[str, Mutable]:
        return {name: self.node(name, part) for name, part in plain.items()}

    def parameter(self, name: str, value: Any) -> Any:
        return self.node(name, value) if isinstance(value, dict) else value


def _made(path: str, make: Callable[..., Mutable], *parts: Any) -> Mutable:
    try:
        return make(*parts)
    except SpaceError as error:
        raise SpaceError(f"not a description: at {path or 'the root'}: {error}") from None


def _value_to_plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_value_to_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
