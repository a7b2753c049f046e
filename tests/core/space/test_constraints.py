from __future__ import annotations

import json
import math
import random
import time
from collections import Counter

import pytest

from medpipe_core import (
    Group,
    Limit,
    Operation,
    OperationChoice,
    SearchSpace,
    ValueChoice,
    compose,
    forbid,
)
from medpipe_core.space import InvalidGenotypeError, SpaceError

P = ValueChoice(0, 0.5, 0.8)
AT_MOST_TWO = Limit({"*/p": (0.5, 0.8)}, at_most=2, reason="more washes volumes out")


def augment(*names, constraints=(AT_MOST_TWO,), **kwargs):
    def layer():
        return Operation("augmentation", "a", {"p": P, "m": ValueChoice(1, 2)}, neutral={"p": 0})

    root = Group({name: layer() for name in names})
    return SearchSpace("augment", root, constraints=constraints, **kwargs)


@pytest.fixture
def four():
    return augment("a", "b", "c", "d")


def switches(count, *constraints):
    root = Group({f"c{i}": ValueChoice("on", "off") for i in range(count)})
    return SearchSpace("switches", root, constraints=constraints)


def on(genotype):
    return sum(key in ("0.5", "0.8", "on") for key in genotype.choices.values())


def test_sizes_are_binomial(four):
    assert four.size() == 2**4 * sum(math.comb(4, k) * 2**k for k in range(3))
    assert switches(40, Limit({"*": ["on"]}, at_least=3, at_most=3)).size() == math.comb(40, 3)
    assert switches(30, Limit({"*": ["on"]}, at_least=28)).size() == 1 + 30 + math.comb(30, 2)


def test_distinct_size_counts_a_function_where_one_of_its_members_is_allowed():
    # What is off has no effect, so its magnitude can be whichever the limit allows.
    space = augment("a", "b", constraints=[Limit({"*/m": [1]}, at_most=0)])
    assert space.size() == 9
    assert space.distinct_size() == 9
    off = space.genotype({"a/p": "0", "a/m": "2", "b/p": "0", "b/m": "2"})
    assert space.canonical(off) == off


def test_a_forbidden_combination_is_the_only_thing_missing():
    root = Group({"a": ValueChoice("x", "y"), "b": OperationChoice({"x": P, "y": ValueChoice(1)})})
    space = SearchSpace("s", root, constraints=[forbid({"a": ["x"], "b/x": [0, 0.5]})])
    assert space.size() == 8 - 2
    with pytest.raises(InvalidGenotypeError, match=r"at most 1 of \(a = x; b/x = 0 or 0.5\)"):
        space.genotype({"a": "x", "b": "x", "b/x": "0.5"})


def test_inactive_choices_are_not_counted():
    deep = Group({"one": ValueChoice("on", "off"), "two": ValueChoice("on", "off")})
    root = Group({"net": OperationChoice({"deep": deep, "flat": ValueChoice("on", "off")})})
    least = SearchSpace("s", root, constraints=[Limit({"net/deep/*": ["on"]}, at_least=1)])
    assert least.size() == 3  # flat has none of them
    most = SearchSpace("s", root, constraints=[Limit({"net/deep/*": ["on"]}, at_most=0)])
    assert most.size() == 1 + 2


@pytest.mark.slow
def test_samples_are_uniform_where_most_draws_would_be_refused_and_where_few_would():
    for bounds in ({"at_most": 3}, {"at_least": 1, "at_most": 1}, {"at_least": 7}):
        space = switches(8, Limit({"*": ["on"]}, **bounds))
        rng = random.Random(0)
        draws = 80 * space.size()
        counts = Counter(space.rank(space.sample(rng=rng)) for _ in range(draws))
        assert set(counts) == set(range(space.size()))
        chi_square = sum((count - 80) ** 2 / 80 for count in counts.values())
        degrees = space.size() - 1
        # The 0.999 quantile, by Wilson and Hilferty.
        spread = 2 / (9 * degrees)
        assert chi_square < degrees * (1 - spread + 3.09 * spread**0.5) ** 3


def test_a_set_far_too_rare_to_be_met_by_chance_is_sampled_and_numbered():
    space = switches(200, Limit({"*": ["on"]}, at_least=5, at_most=5))
    rng = random.Random(1)
    for _ in range(5):
        genotype = space.sample(rng=rng)
        assert on(genotype) == 5
        assert space.unrank(space.rank(genotype)) == genotype


def test_validate_names_the_constraint_its_reason_and_the_paths(four):
    with pytest.raises(InvalidGenotypeError) as caught:
        four.genotype(
            {f"{n}/{k}": v for n in "abc" for k, v in (("p", "0.5"), ("m", "1"))}
            | {"d/p": "0", "d/m": "1"}
        )
    assert str(caught.value) == (
        "not a genotype of space 'augment': the constraint 'at most 2 of (*/p = 0.5 or 0.8), "
        "because more washes volumes out' is broken: found 3, a/p = 0.5, b/p = 0.5, c/p = 0.5"
    )
    three = Limit({"*": ["on"]}, at_least=3)
    with pytest.raises(
        InvalidGenotypeError, match=r"'at least 3 of \(\* = on\)' is broken: found 0$"
    ):
        switches(3, three).genotype(dict.fromkeys(("c0", "c1", "c2"), "off"))


def test_a_genotype_made_without_constraints_is_refused_where_they_are(four):
    free = augment("a", "b", "c", "d", constraints=())
    everything = free.decide(lambda choice: choice.keys[-1])
    assert not four.admits(everything)
    with pytest.raises(InvalidGenotypeError, match=r"digest.*is broken: found 4"):
        four.validate(everything)


def test_mutants_and_children_are_members_where_chance_would_not_find_them():
    space = switches(60, Limit({"*": ["on"]}, at_least=2, at_most=2))
    one, other = space.unrank(3), space.unrank(1500)
    child = space.crossover(one, other, seed=0)
    space.validate(child)
    moved = space.mutate(one, seed=0, count=2)
    space.validate(moved)
    assert sum(moved[path] != one[path] for path in one) == 2
    with pytest.raises(SpaceError, match="changing 1 of this genotype's choices always breaks"):
        space.mutate(one, seed=0)


def test_composition_prefixes_constraints_and_takes_further_ones(four):
    both = compose("both", one=four, two=four)
    assert both.size() == four.size() ** 2
    assert [list(limit.keys) for limit in both.constraints] == [["one/*/p"], ["two/*/p"]]
    total = Limit({"*/p": [0.5, 0.8]}, at_most=3)
    fewer = compose("both", one=four, two=four, constraints=[total])
    assert fewer.size() < both.size()
    assert on(fewer.sample(seed=0)) <= 3
    assert fewer.part("one", fewer.sample(seed=0))[0].constraints == four.constraints


def test_a_root_that_is_a_choice_keeps_its_constraint_in_a_composition():
    one = SearchSpace(
        "one", ValueChoice("x", "y", "z"), constraints=[Limit({"*": ["x"]}, at_most=0)]
    )
    both = compose("both", a=one, b=one)
    assert (one.size(), both.size()) == (2, 4)
    assert both.part("a", both.unrank(0))[0].size() == 2


def test_constraints_are_part_of_the_description(four):
    assert four.digest != augment("a", "b", "c", "d", constraints=()).digest
    assert SearchSpace.from_json(four.to_json()).constraints == four.constraints
    assert four.describe().endswith("constraint: " + str(AT_MOST_TWO))
    assert four.with_catalogue(None).digest == four.digest


@pytest.mark.parametrize(
    "constraints",
    [
        3,
        ["x"],
        [{"keys": {"a/p": ["0"]}}],
        [{"keys": {}, "at_least": 1, "at_most": None, "reason": ""}],
        [{"keys": {"a/p": "0"}, "at_least": 1, "at_most": None, "reason": ""}],
        [{"keys": {"a/p": [{}]}, "at_least": 1, "at_most": None, "reason": ""}],
        [{"keys": {"a/p": ["0"]}, "at_least": "1", "at_most": None, "reason": ""}],
        [{"keys": {"a/p": ["0"]}, "at_least": 1, "at_most": None, "reason": 5}],
        [{"keys": {"a/p": ["0"]}, "at_least": 1, "at_most": None, "reason": "", "x": 1}],
    ],
)
def test_a_text_with_other_constraints_is_no_space(four, constraints):
    plain = json.loads(four.to_json())
    plain["constraints"] = constraints
    with pytest.raises(SpaceError):
        SearchSpace.from_json(json.dumps(plain))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Limit({"a": ["x"]}), "needs at_most, or an at_least above 0"),
        (lambda: Limit({}, at_most=1), "needs at least one path"),
        (lambda: Limit({"a": "x"}, at_most=1), "needs a list of keys, such as ['x'], but got 'x'"),
        (lambda: Limit({"a": []}, at_most=1), "needs a list of keys"),
        (lambda: Limit({"a": ["x"]}, at_least=2, at_most=1), "at_most must be an integer from"),
        (lambda: Limit({"a": ["x"]}, at_least=-1), "at_least must be an integer from 0"),
        (lambda: Limit({"a": ["x"]}, at_most=True), "at_most must be an integer"),
        (lambda: forbid({"a*": ["x"]}), "'a*' is a pattern"),
        (
            lambda: switches(2, Limit({"d*": ["on"]}, at_most=1)),
            "no choice 'd*'. Known:",
        ),
        (lambda: switches(2, Limit({"c9": ["on"]}, at_most=1)), "Did you mean 'c"),
        (
            lambda: switches(2, Limit({"*": ["onn"]}, at_most=1)),
            "'*' cannot be 'onn'. Did you mean 'on'",
        ),
        (
            lambda: switches(2, Limit({"*": ["on"]}, at_least=3)),
            "no genotype keeps all constraints",
        ),
        (
            lambda: switches(2, forbid({"c0": ["on"]}), Limit({"c0": ["on"]}, at_least=1)),
            "at least 1 of (c0 = on)); drop or loosen one",
        ),
    ],
)
def test_constraints_that_make_no_sense_are_refused_with_the_remedy(build, text):
    with pytest.raises(SpaceError) as caught:
        build()
    assert text in str(caught.value)


def test_many_forbidden_neighbours_stay_cheap_to_count():
    pairs = [forbid({f"c{i}": ["on"], f"c{i + 1}": ["on"]}) for i in range(39)]
    fibonacci = [1, 2]
    while len(fibonacci) <= 40:
        fibonacci.append(sum(fibonacci[-2:]))
    assert switches(40, *pairs).size() == fibonacci[40]


def test_constraints_that_cannot_be_counted_say_so():
    # The first half against the second: nothing is settled before the middle.
    halves = [forbid({f"c{i}": ["on"], f"c{i + 30}": ["on"]}) for i in range(30)]
    with pytest.raises(SpaceError, match="members cannot be counted"):
        switches(60, *halves)


def test_ten_thousand_constrained_choices_are_counted_and_sampled_in_seconds():
    began = time.process_time()
    space = switches(10_000, Limit({"*": ["on"]}, at_most=2))
    assert space.size() == 1 + 10_000 + math.comb(10_000, 2)
    assert on(space.sample(seed=0)) <= 2
    assert time.process_time() - began < 20
