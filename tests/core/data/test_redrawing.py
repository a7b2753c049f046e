"""A chain is split before it first draws; a seed decides how the rest is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.data import DataError, RedrawnSteps, Volume, prepared, split_chain
from medpipe_core.plugins import load_plugins


@dataclass(frozen=True)
class Scale:
    by: float = 0.5

    def __call__(self, scan):
        return scan.with_values(scan.values * np.float32(self.by))


@dataclass(frozen=True)
class Noise:
    share: float = 0.0
    seed: int = 0

    def __call__(self, scan):
        noise = np.random.default_rng(self.seed).random(scan.values.shape, np.float32)
        return scan.with_values(scan.values * (1 - self.share) + self.share * noise)

    def redrawn(self, seed):
        return replace(self, seed=seed) if self.share else None


def failing():
    def fail(scan):
        raise IndexError("no such slice")

    return fail


def scale(**training):
    return step("scale", {"by": 0.5}, training)


def noise(share=0.0, **training):
    return step("noise", {"share": share}, training)


def step(name, parameters, training):
    return {"name": name, "parameters": parameters, **({"training": training} if training else {})}


@pytest.fixture(scope="module")
def registry():
    loaded = load_plugins().adding("preparation", "scale", Scale)
    return loaded.adding("preparation", "noise", Noise).adding("preparation", "failing", failing)


def scan():
    return Volume(np.random.default_rng(0).random((3, 4, 5), np.float32))


@pytest.mark.parametrize(
    ("chain", "kept"),
    [
        ([], 0),
        ([scale(), noise()], 2),
        ([scale(by=0.25), noise()], 2),
        ([scale(), noise(share=0.5), scale()], 1),
        ([scale(), noise(0.5)], 1),
        ([noise(), scale(by=0.25), noise(share=0.5)], 1),
    ],
)
def test_what_is_kept_ends_where_training_differs_and_something_is_drawn(registry, chain, kept):
    assert split_chain(chain, registry) == (chain[:kept], chain[kept:])


CHAIN = [scale(), noise(share=0.5), noise(share=0.5), scale(by=0.25)]


def test_what_is_judged_is_the_whole_chain_without_draws(registry):
    once, repeated = split_chain(CHAIN, registry)
    begun = Volume(scan().values * np.float32(0.5))
    found = RedrawnSteps(repeated, registry, first=len(once) + 1).judged(begun)
    assert np.array_equal(found.values, prepared(scan(), CHAIN, registry))


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_one_seed_gives_one_draw_and_another_seed_another(registry, one, other):
    steps = RedrawnSteps(split_chain(CHAIN, registry)[1], registry, first=2)
    again = RedrawnSteps(split_chain(CHAIN, registry)[1], registry, first=2)
    drawn = steps.drawn(scan(), case="a", seed=one)
    assert np.array_equal(drawn, again.drawn(scan(), case="a", seed=one))
    assert np.array_equal(drawn, again.drawn(scan(), case="a", seed=other)) == (one == other)


def test_cases_are_drawn_independently(registry):
    steps = RedrawnSteps([noise(share=0.5)], registry, first=1)
    one, other = (steps.drawn(scan(), case=case, seed=0) for case in "ab")
    assert not np.array_equal(one, other)


def test_two_random_steps_draw_independently(registry):
    chain = [noise(share=1.0), scale(by=1.0), noise(share=0.5)]
    found = RedrawnSteps(chain, registry, first=1).drawn(scan(), case="a", seed=7)
    first = RedrawnSteps(chain[:2], registry, first=1).drawn(scan(), case="a", seed=7)
    assert not np.array_equal(found, first)


def test_what_fails_while_it_is_drawn_has_its_number_in_the_whole_chain(registry):
    steps = RedrawnSteps([noise(share=0.5), scale(by=9.0)], registry, first=3)
    with pytest.raises(DataError, match="the preparation ends in intensities"):
        steps.drawn(scan(), case="a", seed=0)
    steps = RedrawnSteps([noise(share=0.5), step("failing", {}, {})], registry, first=3)
    with pytest.raises(DataError, match="preparation 4, 'failing' raised IndexError: no such"):
        steps.drawn(scan(), case="a", seed=0)
