"""Members of a space in which every key of every choice comes up, or the keys that never do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medpipe_core.space import Limit, SearchSpace, SpaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from medpipe_core.space import Genotype

    Key = tuple[str, str]
    """Path of a choice, and one of its keys."""

_SAMPLES = 100
_MOST_ALIKE = 20
_STARTS = 3
_MOST_CHANGES = 400


@dataclass
class Reached:
    """What was found.

    Attributes:
        members: Few members in which every key comes up that can.
        never: The keys that no member has.
    """

    members: list[Genotype] = field(default_factory=list)
    never: list[Key] = field(default_factory=list)


def reach(space: SearchSpace) -> Reached:
    """Find members with every key of every choice; what keeps all constraints is exact."""
    plain = SearchSpace(space.name, space.root, constraints=space.constraints, budget=space.budget)
    found, left = Reached(_alike(plain)), _keys(plain)
    for member in found.members:
        left -= _of(member)
    samples = _samples(plain)
    while samples and (best := max(samples, key=lambda g: len(left & _of(g)))) is not None:
        if not left & _of(best):
            break
        found.members.append(best)
        left -= _of(best)
    for key in sorted(left):
        if key not in left:
            continue
        try:
            found.members.append(_member_with(plain, key).sample(seed=0))
        except SpaceError:
            found.never.append(key)
            continue
        left -= _of(found.members[-1])
    found.members = [plain.genotype(dict(member.choices)) for member in found.members]
    return found


def reach_within(space: SearchSpace, cost: Callable[[Genotype], float]) -> dict[Key, float]:
    """Return the keys of which no member costs 1 or less, each with the least cost found.

    A key is looked for among samples, then by lowering the cost of a member that has it, one
    choice at a time.

    Args:
        space: The space.
        cost: Cost of a member as a share of the budget.
    """
    plain = SearchSpace(space.name, space.root, constraints=space.constraints, budget=space.budget)
    left = _keys(plain)
    for genotype in _samples(plain):
        if left & _of(genotype) and cost(genotype) <= 1:
            left -= _of(genotype)
    dear: dict[Key, float] = {}
    for key in sorted(left):
        if key not in left:
            continue
        try:
            around = _member_with(plain, key)
        except SpaceError:
            continue  # no member has it, whatever it costs
        cheapest, least = _cheapest(around, plain, cost)
        if least > 1:
            dear[key] = least
        else:
            left -= _of(cheapest)
    return dear


def _cheapest(
    around: SearchSpace, plain: SearchSpace, cost: Callable[[Genotype], float]
) -> tuple[Genotype, float]:
    """Return a member of little cost, of those that a narrower space has, and its cost."""
    tried: list[tuple[float, int, Genotype]] = []
    for start in range(_STARTS):
        genotype = around.sample(seed=start)
        least = cost(plain.genotype(dict(genotype.choices)))
        changes = 0
        moved = True
        while moved and least > 1 and changes < _MOST_CHANGES:
            moved = False
            for other in _near(around, genotype):
                changes += 1
                price = cost(plain.genotype(dict(other.choices)))
                if price < least:
                    genotype, least, moved = other, price, True
                    break
        tried.append((least, start, plain.genotype(dict(genotype.choices))))
        if least <= 1:
            break
    least, _, genotype = min(tried)
    return genotype, least


def _near(space: SearchSpace, genotype: Genotype) -> Iterator[Genotype]:
    """Iterate over the members that differ in one choice, and in what that makes active."""
    for path in genotype:
        for key in space.choices[path].keys:
            if key == genotype[path]:
                continue
            wanted = {**genotype.choices, path: key}
            other = space.decide(lambda choice: wanted.get(choice.path, choice.keys[0]))  # noqa: B023
            if space.admits(other):
                yield other


def _member_with(space: SearchSpace, key: Key) -> SearchSpace:
    """Return the members that have a key, as a space.

    Raises:
        SpaceError: There are none.
    """
    path, wanted = key
    limit = Limit({path: [wanted]}, at_least=1)
    return SearchSpace(space.name, space.root, constraints=[*space.constraints, limit])


def _alike(space: SearchSpace) -> list[Genotype]:
    """Return the members all of whose choices have their first key, their second, and so on.

    What is too much when it comes together, such as strides in every layer, comes together there.
    """
    longest = max((len(choice.keys) for choice in space.choices.values()), default=0)
    rows = [
        space.decide(lambda choice: choice.keys[row % len(choice.keys)])  # noqa: B023
        for row in range(min(longest, _MOST_ALIKE))
    ]
    return [row for row in dict.fromkeys(rows) if space.admits(row)]


def _samples(space: SearchSpace) -> list[Genotype]:
    rng = random.Random(0)  # noqa: S311
    return [space.sample(rng=rng) for _ in range(_SAMPLES)]


def _keys(space: SearchSpace) -> set[Key]:
    return {(path, key) for path, choice in space.choices.items() for key in choice.keys}


def _of(genotype: Genotype) -> set[Key]:
    return set(_pairs(genotype))


def _pairs(genotype: Genotype) -> Iterable[Key]:
    return ((path, genotype[path]) for path in genotype)
