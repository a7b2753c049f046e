"""Exact counting: how many members lie under a node, and which is the n-th."""

from __future__ import annotations

import math
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
from medpipe_core.space.sharing import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def size(node: Mutable) -> int:
    """Count the genotypes under a node."""
    match node:
        case ValueChoice():
            return len(node.keys)
        case Operation():
            return math.prod(len(choice.keys) for choice in node.choices.values())
        case OperationChoice():
            return sum(size(candidate) for candidate in node.candidates.values())
        case Repeat():
            one = size(node.template)
            return sum(one**count for count in node.counts)
        case Group():
            return math.prod(size(child) for child in node.children.values())
        case Shared():
            return math.prod(size(part) for part in node.parts.values()) * size(node.body)
        case Ref():
            return 1
    raise AssertionError(node)


def rank(node: Mutable, path: str, chosen: Mapping[str, str]) -> int:
    """Return the position of a genotype among those under a node, from 0."""
    match node:
        case ValueChoice():
            return node.keys.index(chosen[path])
        case Operation():
            return _mixed(
                (len(choice.keys), choice.keys.index(chosen[join(path, name)]))
                for name, choice in node.choices.items()
            )
        case OperationChoice():
            key = chosen[path]
            position = list(node.candidates).index(key)
            passed = list(node.candidates.values())[:position]
            inner = rank(node.candidates[key], join(path, key), chosen)
            return sum(size(candidate) for candidate in passed) + inner
        case Repeat():
            one, count = size(node.template), int(chosen[path])
            before: int = sum(one**other for other in node.counts[: node.counts.index(count)])
            return before + _mixed(
                (one, rank(node.template, join(path, f"item{number}"), chosen))
                for number in range(1, count + 1)
            )
        case Group():
            return _mixed(
                (size(child), rank(child, join(path, name), chosen))
                for name, child in node.children.items()
            )
        case Shared():
            return _mixed(
                (size(part), rank(part, where, chosen)) for part, where in _beside(node, path)
            )
        case Ref():
            return 0
    raise AssertionError(node)


def unrank(node: Mutable, path: str, index: int, chosen: dict[str, str]) -> None:
    """Put the keys of the `index`-th genotype under a node into `chosen`."""
    match node:
        case ValueChoice():
            chosen[path] = node.keys[index]
        case Operation():
            _split(
                index,
                [(choice, join(path, name)) for name, choice in node.choices.items()],
                chosen,
            )
        case OperationChoice():
            for key, candidate in node.candidates.items():
                inside = size(candidate)
                if index < inside:
                    chosen[path] = key
                    return unrank(candidate, join(path, key), index, chosen)
                index -= inside
        case Repeat():
            one = size(node.template)
            for count in node.counts:
                if index < one**count:
                    chosen[path] = str(count)
                    items = [(node.template, join(path, f"item{n}")) for n in range(1, count + 1)]
                    return _split(index, items, chosen)
                index -= one**count
        case Group():
            parts = [(child, join(path, name)) for name, child in node.children.items()]
            _split(index, parts, chosen)
        case Shared():
            _split(index, _beside(node, path), chosen)
    return None


def _beside(node: Shared, path: str) -> list[tuple[Mutable, str]]:
    shared = [(part, join(path, name)) for name, part in node.parts.items()]
    return [*shared, (node.body, path)]


def _mixed(digits: Iterable[tuple[int, int]]) -> int:
    total = 0
    for base, digit in digits:
        total = total * base + digit
    return total


def _split(index: int, parts: list[tuple[Mutable, str]], chosen: dict[str, str]) -> None:
    for node, path in reversed(parts):
        index, digit = divmod(index, size(node))
        unrank(node, path, digit, chosen)
