"""Exact counts of spaces with shared nodes and constraints, against enumeration."""

from __future__ import annotations

import importlib.util
import pathlib
import random

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from medpipe_core import Genotype, SearchSpace, compose
from medpipe_core.space import SpaceError

_brute = importlib.util.spec_from_file_location(
    "brute_force", pathlib.Path(__file__).with_name("brute.py")
)
brute = importlib.util.module_from_spec(_brute)
_brute.loader.exec_module(brute)

slow_to_draw = settings(suppress_health_check=list(HealthCheck))


def feasible(description):
    root, limits = description
    try:
        return SearchSpace("random", root, constraints=limits)
    except SpaceError as error:
        if "no genotype keeps all constraints" not in str(error):
            raise
        assume(False)


@given(brute.constrained())
@slow_to_draw
def test_size_rank_and_unrank_agree_with_enumeration(description):
    root, limits = description
    expected = [m for m in brute.members(root) if all(brute.keeps(c, m) for c in limits)]
    if not expected:
        with pytest.raises(SpaceError, match="no genotype keeps all constraints"):
            SearchSpace("random", root, constraints=limits)
        return
    space = SearchSpace("random", root, constraints=limits)
    event(f"constraints: {len(limits)}")
    assert space.size() == len(expected)
    assert [dict(space.unrank(i).choices) for i in range(space.size())] == expected
    assert [space.rank(space.genotype(m)) for m in expected] == list(range(len(expected)))


@given(brute.constrained(largest=300))
@slow_to_draw
def test_distinct_size_counts_functions_and_canonical_picks_one_member_of_each(description):
    space = feasible(description)
    picked = {}
    for index in range(space.size()):
        member = space.unrank(index)
        canonical = space.canonical(member)
        space.validate(canonical)
        assert space.canonical(canonical) == canonical
        function = brute.function(space.root, member.choices)
        assert brute.function(space.root, canonical.choices) == function
        assert picked.setdefault(function, canonical) == canonical
    assert space.distinct_size() == len(picked) == len(set(picked.values()))


@given(brute.constrained(), st.integers(0, 2**32))
@slow_to_draw
def test_samples_mutants_and_children_keep_the_constraints(description, seed):
    space = feasible(description)
    rng = random.Random(seed)
    one, other = space.sample(rng=rng), space.sample(rng=rng)
    for genotype in (one, other, space.crossover(one, other, rng=rng)):
        space.validate(genotype)
    try:
        mutant = space.mutate(one, rng=rng)
    except SpaceError:
        return
    space.validate(mutant)
    assert space.canonical(mutant) != space.canonical(one)


@given(brute.constrained(), st.integers(0, 2**32))
@slow_to_draw
def test_json_composition_and_parts_keep_references_and_constraints(description, seed):
    space = feasible(description)
    again = SearchSpace.from_json(space.to_json())
    assert (again.digest, again.size()) == (space.digest, space.size())
    assert again.describe() == space.describe()
    both = compose("both", one=space, two=space)
    assert both.size() == space.size() ** 2
    part, share = both.part("two", both.sample(seed=seed))
    assert part.digest == space.digest
    space.validate(share)
    assert Genotype.from_json(share.to_json()) == share


@given(brute.constrained(), st.integers(0, 2**32))
@slow_to_draw
def test_the_cheapest_member_is_the_least_of_all(description, seed):
    space = feasible(description)
    rng = random.Random(seed)
    costs = {p: {key: rng.randrange(64) for key in c.keys} for p, c in space.choices.items()}

    def cost(genotype):
        return sum(costs[path][key] for path, key in genotype.choices.items())

    cheapest = space.cheapest(costs)
    space.validate(cheapest)
    assert cost(cheapest) == min(cost(space.unrank(i)) for i in range(space.size()))
