"""Drawing members, changing and mixing them.

Constraints are kept by drawing again; where that would take long, by drawing from exact counts.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from typing import TYPE_CHECKING

from medpipe_core.space import constrained_counting, counting
from medpipe_core.space.constraint_counter import ConstraintCounter
from medpipe_core.space.constraints import Limit
from medpipe_core.space.errors import SpaceError

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.dynamic_programming import MemberSums
    from medpipe_core.space.genotype import Genotype
    from medpipe_core.space.genotype_set import GenotypeSet

_TRIES = 100
_RARE = 16


def sample(
    space: GenotypeSet, rng: random.Random, weights: Mapping[str, Sequence[int]] | None = None
) -> Genotype:
    """Draw a member uniformly, or with weights of some choices' keys."""
    weights = weights or {}
    if space.constraints and space.size() * _RARE < counting.size(space.root):
        return _draw_from(space, _weighted(space, weights) if weights else space.members, rng)
    while True:
        genotype = space.decide(lambda choice: _draw(choice, rng, weights.get(choice.path)))
        if space.admits(genotype):
            return genotype


def mutate(space: GenotypeSet, genotype: Genotype, rng: random.Random, count: int) -> Genotype:
    """Return the member with `count` choices that have an effect changed."""
    if not isinstance(count, int) or count < 1:
        raise SpaceError(
            f"space {space.name!r}: the number of choices to change must be an integer from 1, but "
            f"is {count!r}"
        )
    space.validate(genotype)
    effective = space.effective(genotype)
    able = [p for p in genotype if p in effective and len(space.choices[p].keys) > 1]
    if len(able) < count:
        raise SpaceError(
            f"space {space.name!r}: {len(able)} choices of this genotype can change, not {count}"
        )

    def attempt() -> Genotype:
        changed = set(rng.sample(able, count))

        def pick(choice: Choice) -> str:
            known = genotype.choices.get(choice.path)
            if known is None:
                return _draw(choice, rng)
            if choice.path not in changed:
                return known
            return rng.choice([key for key in choice.keys if key != known])

        return space.decide(pick)

    for _ in range(_TRIES):
        mutant = attempt()
        if space.admits(mutant):
            return mutant
    return _rare_mutant(space, genotype, rng, count, able)


def crossover(space: GenotypeSet, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
    """Return a member that takes each choice from one of two parents."""
    space.validate(one)
    space.validate(other)

    def pick(choice: Choice) -> str:
        parents = [p for p in (one, other) if choice.path in p.choices]
        return rng.choice(parents)[choice.path]

    for _ in range(_TRIES):
        child = space.decide(pick)
        if space.admits(child):
            return child

    def weigh(path: str, key: str) -> int | None:
        return sum(parent.choices.get(path) == key for parent in (one, other)) or None

    return _draw_from(
        space, constrained_counting.counted(space.root, space.constraint_counter, weigh), rng
    )


def canonical(space: GenotypeSet, genotype: Genotype) -> Genotype:
    """Return the one member that stands for all that do the same."""
    effective = space.effective(genotype)

    def pick(choice: Choice) -> str:
        return genotype[choice.path] if choice.path in effective else choice.keys[0]

    plainest = space.decide(pick)
    if space.admits(plainest) or not space.admits(genotype):
        return plainest

    def weigh(path: str, key: str) -> int | None:
        return 1 if path not in effective or genotype[path] == key else None

    alike = constrained_counting.counted(space.root, space.constraint_counter, weigh)
    first = constrained_counting.unrank(alike, 0)
    return space.decide(lambda choice: first[choice.path])


def _rare_mutant(
    space: GenotypeSet, genotype: Genotype, rng: random.Random, count: int, able: list[str]
) -> Genotype:
    """Draw from the exact set of mutants: the number of changes is one more constraint."""
    others = {
        path: [key for key in space.choices[path].keys if key != genotype[path]] for path in able
    }
    changes = Limit(others, at_least=count, at_most=count)
    counter = ConstraintCounter((*space.constraints, changes), space.choices, space.name)

    def weigh(path: str, key: str) -> int | None:
        free = path in others or path not in genotype.choices
        return 1 if free or genotype[path] == key else None

    mutants = constrained_counting.counted(space.root, counter, weigh)
    if mutants.total() is None:
        raise SpaceError(
            f"space {space.name!r}: changing {count} of this genotype's choices always breaks a "
            f"constraint ({'; '.join(map(str, space.constraints))}); change another number of them"
        )
    return _draw_from(space, mutants, rng)


def _weighted(space: GenotypeSet, weights: Mapping[str, Sequence[int]]) -> MemberSums[int]:
    def weigh(path: str, key: str) -> int:
        return weights[path][space.choices[path].keys.index(key)] if path in weights else 1

    return constrained_counting.counted(space.root, space.constraint_counter, weigh)


def _draw_from(space: GenotypeSet, members: MemberSums[int], rng: random.Random) -> Genotype:
    chosen = constrained_counting.draw(members, rng)
    return space.decide(lambda choice: chosen[choice.path])


def _draw(choice: Choice, rng: random.Random, weights: Sequence[int] | None = None) -> str:
    if choice.weights is None and weights is None:
        return rng.choice(choice.keys)
    ones = [1] * len(choice.keys)
    products = map(operator.mul, choice.weights or ones, weights or ones)
    sums = list(itertools.accumulate(products))
    return choice.keys[bisect.bisect_right(sums, rng.randrange(sums[-1]))]
