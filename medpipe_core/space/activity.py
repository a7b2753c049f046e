"""Choices that decide whether an operation acts at all, and weights that favour that it does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from medpipe_core.space.choices import repetitions
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.nodes import (
    Group,
    Mutable,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    Shared,
)
from medpipe_core.space.sharing import NOTHING_SHARED, declare, join
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.genotype import Genotype
    from medpipe_core.space.genotype_set import GenotypeSet
    from medpipe_core.space.sharing import Declared

# Weights are whole numbers, so that draws from exact counts stay exact.
_UNIT = 1000
_LARGEST = 10.0


def idle_keys(root: Mutable, kind: str = "augmentation") -> dict[str, frozenset[str]]:
    """Return choice path → the keys at which an operation of a kind is the identity.

    These are the neutral values that the operations declare, and candidates that are neutral
    whatever they choose. Where an operation is neutral only at several values together, each of
    its choices is there.
    """
    found: dict[str, frozenset[str]] = {}
    for path, key in _idle(root, "", NOTHING_SHARED, kind):
        found[path] = found.get(path, frozenset()) | {key}
    return found


def idle(space: GenotypeSet, genotype: Genotype, kind: str = "augmentation") -> Genotype:
    """Return a genotype in which no operation of a kind acts, as far as the space has one.

    All else is as it was; choices that come up only now have their first key. An operation that
    cannot be without effect stays as it is, and so does everything where a constraint forbids the
    result.
    """
    without = idle_keys(space.root, kind)

    def decide(choice: Choice) -> str:
        known = genotype.choices.get(choice.path, choice.keys[0])
        neutral = without.get(choice.path, frozenset())
        return next((key for key in choice.keys if key in neutral), known)

    found = space.decide(decide)
    return genotype if space.broken_constraints(found) else found


def active_weights(
    space: GenotypeSet, size: float, kind: str = "augmentation"
) -> dict[str, tuple[int, ...]]:
    """Return the weights of a prior towards operations that act: choice path → weight of each key.

    A key at which the operation acts weighs up to exp(size) times as much as one at which it does
    not: of numbers, such as a probability, the logarithm grows with the distance from the neutral
    one, and is `size` at the farthest that is offered: a layer that acts on one volume of a
    thousand is next to one that is not there. Choices that decide nothing of the kind are left
    out; at size 0 all are.

    Args:
        space: The space.
        size: Logarithm of the largest factor, in [0, 10].
        kind: Kind of the operations that are meant.

    Raises:
        SpaceError: The size is out of its range.

    Example:
        >>> from medpipe_core import Group, Operation, SearchSpace, ValueChoice
        >>> p = {"p": ValueChoice(0.0, 0.2, 0.5)}
        >>> blur = Operation("augmentation", "blur", p, neutral={"p": 0.0})
        >>> active_weights(SearchSpace("toy", Group({"blur": blur})), 1.0)
        {'blur/p': (1000, 1492, 2718)}
    """
    if not 0 <= size <= _LARGEST:
        raise SpaceError(f"a prior towards active of {size}; give a number in [0, {_LARGEST:g}]")
    if size == 0:
        return {}
    return {
        path: tuple(round(_UNIT * math.exp(size * share)) for share in _shares(space, path, idle))
        for path, idle in idle_keys(space.root, kind).items()
    }


def _shares(space: GenotypeSet, path: str, idle: frozenset[str]) -> list[float]:
    """Return how far each key of a choice is from those without effect, in [0, 1]."""
    choice = space.choices[path]
    numbers = {
        key: value
        for key, value in zip(choice.keys, choice.values or (), strict=bool(choice.values))
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if len(numbers) < len(choice.keys):
        return [float(key not in idle) for key in choice.keys]
    apart = [min(abs(n - numbers[key]) for key in idle) for n in numbers.values()]
    return [one / (max(apart) or 1) for one in apart]


def _idle(
    node: Mutable, path: str, names: Mapping[str, Declared], kind: str
) -> Iterator[tuple[str, str]]:
    """Iterate over choices and keys without effect; a shared part is looked at where it stands."""
    match node:
        case Operation() if node.kind == kind:
            for name, value in (node.neutral or {}).items():
                given = node.parameters[name]
                where = names[given.name].path if isinstance(given, Ref) else join(path, name)
                yield where, value_key(value)
        case OperationChoice():
            for key, candidate in node.candidates.items():
                if isinstance(candidate, Operation) and _does_nothing(candidate, kind):
                    yield path, key
                yield from _idle(candidate, join(path, key), names, kind)
        case Group():
            for name, child in node.children.items():
                yield from _idle(child, join(path, name), names, kind)
        case Repeat():
            for where, item in repetitions(node, path, max(node.counts)):
                yield from _idle(item, where, names, kind)
        case Shared():
            inside = declare(node, path, names)
            for name, part in node.parts.items():
                yield from _idle(part, join(path, name), inside, kind)
            yield from _idle(node.body, path, inside, kind)


def _does_nothing(node: Operation, kind: str) -> bool:
    return node.kind == kind and node.neutral is not None and not node.neutral
