"""A good space, and others that each have one bug."""

from __future__ import annotations

import itertools
import random

from medpipe_core import Genotype, Group, OperationChoice, SearchSpace, ValueChoice
from medpipe_core.testing import SpaceContract

DEEP = Group({"one": ValueChoice(1, 2, 3), "two": ValueChoice("x", "y", "z", "w")})
ROOT = Group({"net": OperationChoice({"plain": ValueChoice(1, 2, 3), "deep": DEEP})})
NUMBERS = itertools.count(2)


class KeyByKey(SearchSpace):
    """Draws every key as likely as the next, so that few members under a key come often."""

    def sample(self, *, seed=None, rng=None):
        rng = rng or random.Random(seed)
        return self.decide(lambda choice: rng.choice(choice.keys))


class KeepsOldKeys(SearchSpace):
    """Gives genotypes with choices that are not active in them."""

    def sample(self, *, seed=None, rng=None):
        genotype = super().sample(seed=seed, rng=rng)
        return Genotype(
            {"net/plain": "1", **genotype.choices},
            space=genotype.space,
            space_digest=genotype.space_digest,
        )


class Forgetful(SearchSpace):
    """Counts no member twice that has the same first choice."""

    def size(self):
        return len(self.choices["net"].keys)


class SeedlessSpace(SearchSpace):
    def sample(self, *, seed=None, rng=None):
        return super().sample(rng=random)


def good():
    return SearchSpace("toy", ROOT)


def ordered_by_a_set():
    names = {f"layer{number}" for number in range(9)}
    return SearchSpace("toy", Group({name: ValueChoice(1, 2) for name in names}))


def another_each_time():
    return SearchSpace("toy", Group({"n": ValueChoice(0, next(NUMBERS))}))


class TestGoodSpace(SpaceContract):
    space = "planted_spaces:good"


class TestKeyByKey(SpaceContract):
    space = KeyByKey("toy", ROOT)


class TestKeepsOldKeys(SpaceContract):
    space = KeepsOldKeys("toy", ROOT)


class TestForgetful(SpaceContract):
    space = Forgetful("toy", ROOT)


class TestSeedlessSpace(SpaceContract):
    space = SeedlessSpace("toy", ROOT)


class TestOrderedByASet(SpaceContract):
    space = "planted_spaces:ordered_by_a_set"


class TestAnotherEachTime(SpaceContract):
    space = another_each_time
