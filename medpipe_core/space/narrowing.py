"""Narrowing a space: a description with fewer keys to choose from.

Keys are taken out of the description itself, so that networks have no modules for them and
searchers nothing to learn about them. What a description cannot say becomes a constraint:
repetitions share one description, and a shared name must be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from medpipe_core.space.choices import all_choices, matching_paths, named_paths, repetitions
from medpipe_core.space.constraints import Limit, limit_keys
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
from medpipe_core.space.sharing import free_names, join
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.genotype_set import GenotypeSet
    from medpipe_core.space.values import Value

T = TypeVar("T")


def narrowed(
    space: GenotypeSet, keys: Mapping[str, Iterable[Value]]
) -> tuple[Mutable, tuple[Limit, ...]]:
    """Return the description and the constraints of a space with fewer keys to choose from.

    Args:
        space: The space.
        keys: Path or pattern → the keys that are left, or the values they stand for.

    Raises:
        SpaceError: A path or key is not there, nothing is left of a choice, or a constraint asks
            for what is taken away.
    """
    narrower = _Narrower(_keys_left(space, keys))
    root = narrower.node(space.root, [""], {})
    choices = {choice.path: choice for choice in all_choices(root)}
    kept = [_kept(limit, choices, space.name) for limit in space.constraints]
    limits = [limit for limit in kept if limit is not None]
    if narrower.forbidden:
        limits.append(Limit(narrower.forbidden, at_most=0, reason="the space was narrowed"))
    return root, tuple(limits)


def named_keys(given: object, more: Mapping[str, T], what: str) -> dict[str, T]:
    """Return what a mapping and keyword arguments say together.

    Raises:
        SpaceError: The first is no mapping, or both name one path.
    """
    if not isinstance(given, Mapping):
        raise SpaceError(f"{what} needs paths with keys, such as {{'a/b': …}}, but got {given!r}")
    twice = sorted(given.keys() & more.keys())
    if twice:
        raise SpaceError(f"{what}: {twice[0]!r} is there twice; name it once")
    return {**given, **more}


def _keys_left(space: GenotypeSet, keys: Mapping[str, Iterable[Value]]) -> dict[str, list[str]]:
    """Return path → keys in order, of choices that lose some."""
    left: dict[str, list[str]] = {}
    for pattern, values in keys.items():
        asked = limit_keys(pattern, values)
        for path in named_paths(pattern, asked, space.choices, f"space {space.name!r}"):
            before = left.get(path, space.choices[path].keys)
            left[path] = [key for key in before if key in asked]
            if not left[path]:
                raise SpaceError(
                    f"space {space.name!r}: nothing is left of {path!r}, which can be "
                    f"{' or '.join(before)}, where {pattern!r} leaves {' or '.join(asked)}; name "
                    "the paths that are meant"
                )
    return {path: some for path, some in left.items() if len(some) < len(space.choices[path].keys)}


def _kept(limit: Limit, choices: Mapping[str, Choice], space: str) -> Limit | None:
    """Return a constraint as far as its choices are still there; None where none is."""
    keys: dict[str, tuple[str, ...]] = {}
    for pattern, counted in limit.keys.items():
        known = {key for path in matching_paths(pattern, choices) for key in choices[path].keys}
        there = tuple(key for key in counted if key in known)
        if there:
            keys[pattern] = there
    if keys:
        return limit.with_keys(keys)
    if limit.at_least:
        raise SpaceError(
            f"space {space!r}: the constraint '{limit}' asks for keys that are taken away; leave "
            f"{limit.at_least} of them"
        )
    return None


class _Narrower:
    """Takes keys out of a description.

    Args:
        left: Path → keys that are left, of choices that lose some.

    Attributes:
        forbidden: Path → keys that are still in the description and must not be taken there.
    """

    def __init__(self, left: Mapping[str, Sequence[str]]) -> None:
        self._left = left
        self._above = {
            path.rsplit("/", up)[0] for path in left for up in range(path.count("/") + 1)
        } | {""}
        self._every_candidate = False
        self.forbidden: dict[str, list[str]] = {}

    def node(self, node: Mutable, places: Sequence[str], shared: Mapping[str, Mutable]) -> Any:
        """Return a node with fewer keys.

        Args:
            node: The node.
            places: Every path where it stands; several within a repetition, none where that is
                left with no items: what is shared narrows its template all the same.
            shared: What lost keys itself among that which the node can refer to.
        """
        if not shared and self._above.isdisjoint(places):
            return node
        match node:
            case ValueChoice():
                keys = self._keys(node.keys, places)
                return node if keys == node.keys else node.offering(*map(node.value_of, keys))
            case Operation():
                return self._operation(node, places, shared)
            case OperationChoice():
                return OperationChoice(
                    {
                        key: self.node(node.candidates[key], _below(places, key), shared)
                        for key in self._candidates(node, places)
                    }
                )
            case Repeat():
                return self._repeat(node, places, shared)
            case Group():
                return Group(
                    {
                        name: self.node(child, _below(places, name), shared)
                        for name, child in node.children.items()
                    }
                )
            case Shared():
                return self._shared(node, places, shared)
        return node

    def _operation(
        self, node: Operation, places: Sequence[str], shared: Mapping[str, Mutable]
    ) -> Operation:
        parameters = {
            name: self.node(value, _below(places, name), shared)
            if isinstance(value, ValueChoice)
            else value
            for name, value in node.parameters.items()
        }
        neutral = node.neutral
        for name, value in (neutral or {}).items():
            choice = parameters[name]
            if isinstance(choice, Ref):
                choice = shared.get(choice.name)
            if isinstance(choice, ValueChoice) and value_key(value) not in choice.keys:
                neutral = None
        return Operation(node.kind, node.name, parameters, neutral)

    def _candidates(self, node: OperationChoice, places: Sequence[str]) -> tuple[str, ...]:
        if not self._every_candidate:
            return self._keys(node.keys, places)
        self._forbid(node.keys, places)
        return node.keys

    def _repeat(self, node: Repeat, places: Sequence[str], shared: Mapping[str, Mutable]) -> Repeat:
        counts = tuple(map(int, self._keys(node.keys, places)))
        items = [item for place in places for item, _ in repetitions(node, place, max(counts))]
        return Repeat(self.node(node.template, items, shared), counts)

    def _shared(self, node: Shared, places: Sequence[str], shared: Mapping[str, Mutable]) -> Shared:
        before = dict(self.forbidden)
        found = self._scope(node, places, shared)
        if self._every_candidate or found.parts.keys() <= _used(found):
            return found
        # Something shared has lost its last use with a candidate: all candidates have to stay.
        self.forbidden = before
        self._every_candidate = True
        found = self._scope(node, places, shared)
        self._every_candidate = False
        return found

    def _scope(self, node: Shared, places: Sequence[str], shared: Mapping[str, Mutable]) -> Shared:
        parts: dict[str, Mutable] = {}
        for name, part in node.parts.items():
            parts[name] = self.node(part, _below(places, name), shared)
            if parts[name] is not part:
                shared = {**shared, name: parts[name]}
        return Shared(parts, self.node(node.body, places, shared))

    def _keys(self, keys: Sequence[str], places: Sequence[str]) -> tuple[str, ...]:
        """Return the keys that are left at some place, and forbid them at the others."""
        if not places:
            return tuple(keys)
        lefts = [self._left.get(place, keys) for place in places]
        some = tuple(key for key in keys if any(key in left for left in lefts))
        self._forbid(some, places)
        return some

    def _forbid(self, keys: Sequence[str], places: Sequence[str]) -> None:
        for place in places:
            over = [key for key in keys if key not in self._left.get(place, keys)]
            if over:
                self.forbidden[place] = over


def _below(places: Sequence[str], name: str) -> list[str]:
    return [join(place, name) for place in places]


def _used(node: Shared) -> set[str]:
    parts = (free_names(part) for part in node.parts.values())
    return free_names(node.body).union(*parts)
