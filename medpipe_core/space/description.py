"""A description as people read it, and the operations that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from collections.abc import Iterator


def lines(node: Mutable, name: str, indent: str = "") -> Iterator[str]:
    """Iterate over the lines of a readable description."""
    match node:
        case ValueChoice():
            yield f"{indent}{name}: one of {', '.join(node.keys)}"
        case Operation():
            open_ones = {n: v for n, v in node.parameters.items() if isinstance(v, Mutable)}
            fixed = [f"{n}={v!r}" for n, v in node.parameters.items() if n not in open_ones]
            known = f" ({', '.join(fixed)})" if fixed else ""
            yield f"{indent}{name}: {node.kind} {node.name}{known}"
            for parameter, choice in open_ones.items():
                yield from lines(choice, parameter, indent + "  ")
        case OperationChoice():
            yield f"{indent}{name}: one of {', '.join(node.keys)}"
            for key, candidate in node.candidates.items():
                if not isinstance(candidate, Operation) or _is_open(candidate):
                    yield from lines(candidate, key, indent + "  ")
        case Repeat():
            yield f"{indent}{name}: repeated {', '.join(node.keys)} times"
            yield from lines(node.template, "each", indent + "  ")
        case Group():
            yield f"{indent}{name}:"
            for child_name, child in node.children.items():
                yield from lines(child, child_name, indent + "  ")
        case Shared():
            yield f"{indent}{name}, shared:"
            for part_name, part in node.parts.items():
                yield from lines(part, part_name, indent + "  ")
            yield from lines(node.body, name, indent)
        case Ref():
            yield f"{indent}{name}: the shared {node.name}"


def operations(node: Mutable) -> Iterator[tuple[str, str]]:
    """Iterate over kind and name of every operation under a node.

    A node that stands at several places is looked at once.
    """
    seen: set[int] = set()
    left = [node]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Operation):
            yield one.kind, one.name
        left.extend(reversed(_parts(one)))


def _parts(node: Mutable) -> list[Mutable]:
    match node:
        case OperationChoice():
            return list(node.candidates.values())
        case Repeat():
            return [node.template]
        case Group():
            return list(node.children.values())
        case Shared():
            return [*node.parts.values(), node.body]
    return []


def _is_open(node: Operation) -> bool:
    return bool(node.choices or node.references)
