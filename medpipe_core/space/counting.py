"""Exact counting: how many members lie under a node, and which is the n-th."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from medpipe_core.space.nodes import Group, Mutable, Operation, OperationChoice, Repeat, ValueChoice

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
    raise AssertionError(node)


def distinct_size(node: Mutable) -> int:
    """Count the genotypes under a node, those of an operation that is the identity as one."""
    match node:
        case Operation(neutral=neutral) if neutral is not None:
            free = (c for name, c in node.choices.items() if name not in neutral)
            return size(node) - math.prod(len(choice.keys) for choice in free) + 1
        case OperationChoice():
            return sum(distinct_size(candidate) for candidate in node.candidates.values())
        case Repeat():
            one = distinct_size(node.template)
            return sum(one**count for count in node.counts)
        case Group():
            return math.prod(distinct_size(child) for child in node.children.values())
    return size(node)


def rank(node: Mutable, path: str, chosen: Mapping[str, str]) -> int:
    """Return the position of a genotype among those under a node, from 0."""
    match node:
        case ValueChoice():
            return node.keys.index(chosen[path])
        case Operation():
            return _mixed(
                (len(choice.keys), choice.keys.index(chosen[_join(path, name)]))
                for name, choice in node.choices.items()
            )
        case OperationChoice():
            key = chosen[path]
            position = list(node.candidates).index(key)
            passed = list(node.candidates.values())[:position]
            inner = rank(node.candidates[key], _join(path, key), chosen)
            return sum(size(candidate) for candidate in passed) + inner
        case Repeat():
            one, count = size(node.template), int(chosen[path])
            before: int = sum(one**other for other in node.counts[: node.counts.index(count)])
            return before + _mixed(
                (one, rank(node.template, _join(path, f"item{number}"), chosen))
                for number in range(1, count + 1)
            )
        case Group():
            return _mixed(
                (size(child), rank(child, _join(path, name), chosen))
                for name, child in node.children.items()
            )
    raise AssertionError(node)


def unrank(node: Mutable, path: str, index: int, chosen: dict[str, str]) -> None:
    """Put the keys of the `index`-th genotype under a node into `chosen`."""
    match node:
        case ValueChoice():
            chosen[path] = node.keys[index]
        case Operation():
            _split(
                index,
                [(choice, _join(path, name)) for name, choice in node.choices.items()],
                chosen,
            )
        case OperationChoice():
            for key, candidate in node.candidates.items():
                inside = size(candidate)
                if index < inside:
                    chosen[path] = key
                    return unrank(candidate, _join(path, key), index, chosen)
                index -= inside
        case Repeat():
            one = size(node.template)
            for count in node.counts:
                if index < one**count:
                    chosen[path] = str(count)
                    items = [(node.template, _join(path, f"item{n}")) for n in range(1, count + 1)]
                    return _split(index, items, chosen)
                index -= one**count
        case Group():
            parts = [(child, _join(path, name)) for name, child in node.children.items()]
            _split(index, parts, chosen)
    return None


def _mixed(digits: Iterable[tuple[int, int]]) -> int:
    total = 0
    for base, digit in digits:
        total = total * base + digit
    return total


def _split(index: int, parts: list[tuple[Mutable, str]], chosen: dict[str, str]) -> None:
    for node, path in reversed(parts):
        index, digit = divmod(index, size(node))
        unrank(node, path, digit, chosen)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
