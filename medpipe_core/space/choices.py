"""Walking a description: its choices, and the active ones of a genotype."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from medpipe_core.errors import did_you_mean
from medpipe_core.space.counting import size
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Repeat,
    Shared,
    ValueChoice,
)
from medpipe_core.space.sharing import join

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from medpipe_core.space.values import Value


@dataclass(frozen=True)
class Choice:
    """One choice of a space, by its path.

    Attributes:
        path: Its explicit name, such as `network/block3/layer2`.
        kind: `"value"`, `"operation"` or `"count"`.
        keys: The keys to choose from, in order.
        values: The values that the keys stand for; None for a choice of operations.
        weights: How many members of the space lie under each key, constraints aside; None where
            all are equal.
        owner: Path of the operation whose parameter this is, or None.
    """

    path: str
    kind: Literal["value", "operation", "count"]
    keys: tuple[str, ...]
    values: tuple[Value, ...] | None = None
    weights: tuple[int, ...] | None = None
    owner: str | None = None


def all_choices(root: Mutable) -> Iterator[Choice]:
    """Iterate over every choice under a node, active or not, in tree order."""
    yield from _choices(root, "", None)


def active_choices(root: Mutable, choose: Callable[[str], str]) -> Iterator[str]:
    """Iterate over the paths of the active choices; `choose(path)` gives the key of each."""
    stack: list[tuple[str, Mutable]] = [("", root)]
    while stack:
        path, node = stack.pop()
        match node:
            case ValueChoice():
                choose(path)
                yield path
            case Operation():
                for name in node.choices:
                    choose(join(path, name))
                    yield join(path, name)
            case OperationChoice():
                key = choose(path)
                yield path
                stack.append((join(path, key), node.candidates[key]))
            case Repeat():
                count = int(choose(path))
                yield path
                stack.extend(reversed(list(repetitions(node, path, count))))
            case Group():
                children = [(join(path, name), child) for name, child in node.children.items()]
                stack.extend(reversed(children))
            case Shared():
                stack.append((path, node.body))
                parts = [(join(path, name), part) for name, part in node.parts.items()]
                stack.extend(reversed(parts))


def matching_paths(pattern: str, paths: Collection[str]) -> list[str]:
    """Return the paths that a pattern as in file names matches; `*` crosses slashes."""
    if pattern in paths:
        return [pattern]
    return list(filter(re.compile(fnmatch.translate(pattern)).match, paths))


def named_paths(
    pattern: str, keys: Iterable[str], choices: Mapping[str, Choice], who: str
) -> list[str]:
    """Return the paths that a pattern matches, some of which have each of the keys.

    Args:
        pattern: As in file names; `*` crosses slashes.
        keys: What somebody asks of them.
        choices: Of the space, by path.
        who: Who asks, for errors, such as `space 'mine'`.

    Raises:
        SpaceError: No path matches, or none of those that do has a key.
    """
    paths = matching_paths(pattern, choices)
    if not paths:
        raise SpaceError(f"{who}: no choice {pattern!r}.{did_you_mean(pattern, choices)}")
    known = {key for path in paths for key in choices[path].keys}
    for key in keys:
        if key not in known:
            hint = did_you_mean(key, known)
            raise SpaceError(f"{who}: {pattern!r} cannot be {key!r}.{hint}")
    return paths


def item_names(count: int) -> Iterator[str]:
    """Iterate over the names of so many repetitions."""
    return (f"item{number}" for number in range(1, count + 1))


def repetitions(node: Repeat, path: str, count: int) -> Iterator[tuple[str, Mutable]]:
    """Iterate over the items of a repetition with their paths."""
    for item in item_names(count):
        yield join(path, item), node.template


def _choices(node: Mutable, path: str, owner: str | None) -> Iterator[Choice]:
    match node:
        case ValueChoice():
            yield Choice(path, "value", node.keys, node.values, owner=owner)
        case Operation():
            for name, choice in node.choices.items():
                yield from _choices(choice, join(path, name), path)
        case OperationChoice():
            sizes = tuple(size(candidate) for candidate in node.candidates.values())
            yield Choice(path, "operation", node.keys, weights=_unequal(sizes))
            for key, candidate in node.candidates.items():
                yield from _choices(candidate, join(path, key), None)
        case Repeat():
            one = size(node.template)
            sizes = tuple(one**count for count in node.counts)
            yield Choice(path, "count", node.keys, node.counts, weights=_unequal(sizes))
            for item_path, item in repetitions(node, path, max(node.counts)):
                yield from _choices(item, item_path, None)
        case Group():
            for name, child in node.children.items():
                yield from _choices(child, join(path, name), None)
        case Shared():
            for name, part in node.parts.items():
                yield from _choices(part, join(path, name), None)
            yield from _choices(node.body, path, None)


def _unequal(sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if len(set(sizes)) == 1 else sizes
