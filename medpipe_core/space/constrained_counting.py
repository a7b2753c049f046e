"""The members that keep constraints: how many there are, which is the n-th, which the cheapest."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from typing import TYPE_CHECKING

from medpipe_core.space.dynamic_programming import MemberSums

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from medpipe_core.space.constraint_counter import ConstraintCounter
    from medpipe_core.space.nodes import Mutable


def counted(
    root: Mutable,
    counter: ConstraintCounter,
    weigh: Callable[[str, str], int | None] = lambda _path, _key: 1,
) -> MemberSums[int]:
    """Return the members with their numbers: each counts once, or with its keys' weights."""
    return MemberSums(root, counter, weigh, operator.add, operator.mul, 1)


def priced(
    root: Mutable, counter: ConstraintCounter, costs: Mapping[str, Mapping[str, float]]
) -> MemberSums[float]:
    """Return the members with their costs: the sum over their active choices."""
    return MemberSums(root, counter, lambda path, key: costs[path][key], min, operator.add, 0.0)


def rank(members: MemberSums[int], chosen: Mapping[str, str]) -> int:
    """Return how many members come before a member."""
    before = 0

    def pick(path: str, keys: Sequence[str], weights: list[int | None]) -> str:
        nonlocal before
        before += sum(weight or 0 for weight in weights[: keys.index(chosen[path])])
        return chosen[path]

    members.walk(pick)
    return before


def unrank(members: MemberSums[int], index: int) -> dict[str, str]:
    """Return the choices of the `index`-th member, from 0."""
    left = index

    def pick(_path: str, keys: Sequence[str], weights: list[int | None]) -> str:
        nonlocal left
        for key, weight in zip(keys, weights, strict=True):
            if left < (weight or 0):
                return key
            left -= weight or 0
        raise IndexError(index)

    return members.walk(pick)


def draw(members: MemberSums[int], rng: random.Random) -> dict[str, str]:
    """Draw a member, each in proportion to its weight."""

    def pick(_path: str, keys: Sequence[str], weights: list[int | None]) -> str:
        sums = list(itertools.accumulate(weight or 0 for weight in weights))
        return keys[bisect.bisect_right(sums, rng.randrange(sums[-1]))]

    return members.walk(pick)


def cheapest(members: MemberSums[float]) -> dict[str, str]:
    """Return the choices of a member of the least cost; of equal ones an early one."""

    def pick(_path: str, keys: Sequence[str], weights: list[float | None]) -> str:
        prices = [math.inf if weight is None else weight for weight in weights]
        return keys[prices.index(min(prices))]

    return members.walk(pick)
