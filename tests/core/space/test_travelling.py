"""Spaces and their members are plain values: they can be copied and sent to another process."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import operator
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Budget, Group, Limit, Operation, SearchSpace, ValueChoice, load_plugins
from medpipe_core.testing import spaces


def _pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, _pickled])
@given(space=spaces(), seed=st.integers(0, 2**32))
def test_a_copied_space_is_the_same_space(travel, space, seed):
    genotype = space.sample(seed=seed)
    space.distinct_size()  # what was counted is not copied along
    again = travel(space)
    assert (again.digest, again.size()) == (space.digest, space.size())
    assert again.sample(seed=seed) == genotype == travel(genotype)
    assert again.rank(travel(genotype)) == space.rank(genotype)
    assert [step.path for step in again.resolve(genotype)] == [
        step.path for step in space.resolve(genotype)
    ]


def test_constraints_budget_and_catalogue_travel_along():
    registry = load_plugins()
    flip = Operation("augmentation", "v_flip", {"p": ValueChoice(0.0, 0.5)}, neutral={"p": 0.0})
    space = SearchSpace(
        "s",
        Group({"a": flip, "b": flip}),
        budget=Budget(parameters=5),
        constraints=[Limit({"*/p": [0.5]}, at_most=1)],
        catalogue=registry,
    )
    again = _pickled(space)
    assert (again.size(), again.budget, again.constraints) == (3, space.budget, space.constraints)
    assert again.catalogue.factory("augmentation", "v_flip") is registry.factory(
        "augmentation", "v_flip"
    )
    assert copy.deepcopy(space).catalogue is registry
    assert dict(again.sample(seed=0).provenance) == dict(space.sample(seed=0).provenance)


def test_a_worker_of_a_pool_takes_and_gives_spaces_and_genotypes():
    space = load_plugins().space("medpipe-augment")
    genotype = space.sample(seed=0)
    mutate = operator.methodcaller("mutate", genotype, seed=3)
    workers = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=workers) as pool:
        mutant = pool.submit(mutate, space).result()
        digest = pool.submit(operator.attrgetter("digest"), space).result()
    assert (mutant, digest) == (space.mutate(genotype, seed=3), space.digest)


def test_a_genotype_stays_immutable_after_its_journey(conditional):
    again = _pickled(conditional.sample(seed=0))
    with pytest.raises(AttributeError, match="immutable"):
        again.space = "other"
    with pytest.raises(TypeError):
        again.choices["net"] = "deep"
    assert hash(again) == hash(conditional.sample(seed=0))
