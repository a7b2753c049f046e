from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import (
    Budget,
    Genotype,
    Group,
    Operation,
    OperationChoice,
    Repeat,
    SearchSpace,
    ValueChoice,
    compose,
)
from medpipe_core.space import InvalidGenotypeError, SpaceError
from medpipe_core.testing import spaces
from medpipe_core.testing.elsewhere import KIT


@given(spaces())
def test_unrank_enumerates_every_member_once_and_rank_is_its_inverse(space):
    members = [space.unrank(index) for index in range(space.size())]
    assert len(set(members)) == space.size()
    assert [space.rank(member) for member in members] == list(range(space.size()))


@given(spaces(largest=400))
def test_distinct_size_counts_canonical_members(space):
    canonical = {space.canonical(space.unrank(i)) for i in range(space.size())}
    assert len(canonical) == space.distinct_size()


@given(spaces(), st.integers(0, 2**32))
def test_samples_mutants_and_children_are_members(space, seed):
    rng = random.Random(seed)
    one, other = space.sample(rng=rng), space.sample(rng=rng)
    space.validate(one)
    space.validate(space.crossover(one, other, rng=rng))
    try:
        mutant = space.mutate(one, rng=rng)
    except SpaceError:
        return
    space.validate(mutant)
    assert space.canonical(mutant) != space.canonical(one)


@given(spaces(), st.integers(0, 2**32))
def test_genotypes_and_descriptions_survive_json(space, seed):
    genotype = space.sample(seed=seed)
    assert Genotype.from_json(genotype.to_json()) == genotype
    again = SearchSpace.from_json(space.to_json())
    assert (again.digest, again.size()) == (space.digest, space.size())
    again.validate(genotype)


@given(spaces(), st.integers(0, 2**32))
def test_steps_have_a_value_for_every_parameter_and_name_active_choices(space, seed):
    genotype = space.sample(seed=seed)
    for step in space.resolve(genotype):
        assert step.parameters["fixed"] == 7
        assert set(step.choices) <= set(genotype)
        assert not any(isinstance(v, ValueChoice) for v in step.parameters.values())


def test_sampling_is_uniform_over_a_conditional_space(conditional):
    rng = random.Random(0)
    draws = 15_000
    counts = Counter(conditional.rank(conditional.sample(rng=rng)) for _ in range(draws))
    expected = draws / conditional.size()
    chi_square = sum((counts[i] - expected) ** 2 / expected for i in range(conditional.size()))
    assert conditional.size() == 15
    assert chi_square < 36.1  # the 0.999 quantile with 14 degrees of freedom


def test_the_papers_counts_come_out_of_a_description_by_hand():
    def layer(*sizes):
        grids = {f"m{i}": ValueChoice(*range(n)) for i, n in enumerate(sizes)}
        p = ValueChoice(0.0, 0.5, 0.8)
        return Operation("augmentation", "x", {"p": p, **grids}, neutral={"p": 0.0})

    layers = [layer()] * 4 + [layer(5, 5)] * 3
    layers += [layer(5, 5, 5, 5), layer(5, 5), layer(3), layer(4), layer(2, 2)]
    augment = SearchSpace("a", Group({f"l{i}": node for i, node in enumerate(layers)}))
    eight = OperationChoice({f"k{i}": Operation("block", "x") for i in range(8)})
    two = Operation("block", "x", {"stride": ValueChoice(1, 2)})
    network = {**{f"n{i}": eight for i in range(21)}, **{f"s{i}": two for i in range(7)}}
    joint = compose("j", augment=augment, network=Group(network))
    assert augment.size() == 6_227_824_218_750_000
    assert augment.distinct_size() == 388_692_438_295_077
    assert joint.size() == augment.size() * 8**21 * 2**7


def test_a_choice_governs_the_last_step_of_its_outcome():
    pair = Group({"x": Operation("block", "one"), "y": Operation("block", "two")})
    space = SearchSpace("s", Group({"net": OperationChoice({"pair": pair})}))
    first, last = space.resolve(space.sample(seed=0))
    assert (first.choices, last.choices) == ((), ("net",))


def test_repetitions_have_choices_of_their_own_and_exist_up_to_the_count():
    space = SearchSpace("s", Group({"r": Repeat(ValueChoice(1, 2), (0, 2))}))
    assert space.size() == 1 + 4
    assert dict(space.unrank(0).choices) == {"r": "0"}
    assert dict(space.unrank(2).choices) == {"r": "2", "r/item1": "1", "r/item2": "2"}


def test_values_are_read_back_as_they_were_given():
    space = SearchSpace("s", Group({"x": ValueChoice(-30, -22.5, True, "t", (1, 2.5), None)}))
    values = [space.value(space.unrank(i), "x") for i in range(space.size())]
    assert values == [-30, -22.5, True, "t", (1, 2.5), None]
    assert space.choices["x"].keys == ("-30", "-22.5", "true", "t", "[1,2.5]", "null")


def test_every_mistake_of_a_genotype_is_told_at_once_with_what_is_near(conditional):
    with pytest.raises(InvalidGenotypeError) as caught:
        conditional.genotype({"net": "deeep", "nett": "plain"})
    assert "'net' cannot be 'deeep'. Did you mean 'deep'?" in str(caught.value)
    assert "'nett' is no choice. Did you mean 'net'" in str(caught.value)


def test_missing_and_inactive_choices_are_named(conditional):
    with pytest.raises(InvalidGenotypeError, match="'net/deep/two' is missing"):
        conditional.genotype({"net": "deep", "net/deep/one": "1"})
    with pytest.raises(InvalidGenotypeError, match="'net/deep/one' is not active here"):
        conditional.genotype({"net": "plain", "net/plain": "1", "net/deep/one": "1"})


def test_a_genotype_of_another_space_is_refused_with_the_difference(conditional):
    other = SearchSpace("other", Group({"net": OperationChoice({"new": ValueChoice(1)})}))
    with pytest.raises(InvalidGenotypeError, match=r"made for space 'other'.*cannot be 'new'"):
        conditional.validate(other.sample(seed=0))


def test_a_changed_fixed_parameter_changes_the_digest_and_a_name_does_not():
    def space(name, channels):
        return SearchSpace(name, Group({"x": Operation("block", "b", {"channels": channels})}))

    assert space("a", 8).digest == space("b", 8).digest
    assert space("a", 8).digest != space("a", 16).digest
    assert (
        SearchSpace("a", space("a", 8).root, budget=Budget(parameters=5)).digest
        != space("a", 8).digest
    )


def test_digests_and_samples_are_the_same_in_another_process(conditional, forked):
    code = (
        "from medpipe_core import *\n"
        f"space = SearchSpace.from_json({conditional.to_json()!r})\n"
        "print(space.digest, space.sample(seed=5).digest)"
    )
    outputs = {forked(code, imported=KIT, hash_seed=seed).output for seed in (1, 77)}
    assert outputs == {f"{conditional.digest} {conditional.sample(seed=5).digest}\n"}


def test_a_part_is_a_space_with_its_share_of_the_genotype(conditional):
    both = compose("both", a=conditional, b=conditional)
    genotype = both.sample(seed=3)
    part, share = both.part("b", genotype)
    assert part.digest == conditional.digest
    assert {f"b/{path}": key for path, key in share.choices.items()}.items() <= (
        genotype.choices.items()
    )
    with pytest.raises(SpaceError, match="no part 'c'"):
        both.part("c", genotype)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ValueChoice(),
        lambda: ValueChoice(1, 1.0),
        lambda: ValueChoice(float("nan")),
        lambda: ValueChoice(object()),
        lambda: Group({}),
        lambda: Group({"Up/Down": ValueChoice(1)}),
        lambda: Group({"x": 3}),
        lambda: OperationChoice({}),
        lambda: Repeat(ValueChoice(1), ()),
        lambda: Repeat(ValueChoice(1), (-1,)),
        lambda: Repeat(ValueChoice(1), (10**9,)),
        lambda: Operation("block", "b", {"p": ValueChoice(1, 2)}, neutral={"p": 3}),
        lambda: Budget(parameters=0),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(build):
    with pytest.raises(SpaceError):
        build()


def test_sampling_needs_exactly_one_source_of_randomness(conditional):
    with pytest.raises(SpaceError, match="seed=<int> or rng="):
        conditional.sample()


@pytest.mark.slow
def test_ten_thousand_choices_are_sampled_and_counted_in_about_linear_time():
    def seconds(width):
        space = SearchSpace("wide", Group({f"c{i}": ValueChoice(1, 2) for i in range(width)}))
        began = time.process_time()
        assert space.size() == 2**width
        space.mutate(space.sample(seed=0), seed=1)
        return time.process_time() - began

    narrow, wide = (min(seconds(width) for _ in range(4)) for width in (1000, 10_000))
    assert wide < 40 * narrow
