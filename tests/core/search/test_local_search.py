from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Group, Limit, OperationChoice, SearchSpace, ValueChoice
from medpipe_core.search.local_search import local_search

SIZES = SearchSpace(
    "sizes",
    Group(
        {
            "first": ValueChoice(1, 2, 4),
            "second": OperationChoice(
                {"wide": Group({"by": ValueChoice(2, 8)}), "none": Group({"x": ValueChoice(0)})}
            ),
            "free": ValueChoice("a", "b", "c"),
        }
    ),
)
CHEAPEST = SIZES.genotype({"first": "1", "second": "none", "second/none/x": "0", "free": "c"})


def cost(genotype):
    return sum(int(key) for key in genotype.choices.values() if key.isdecimal())


@st.composite
def regrets(draw):
    found = {}
    for path, choice in SIZES.choices.items():
        values = [draw(st.floats(0, 5)) for _ in choice.keys]
        found[path] = {k: v - min(values) for k, v in zip(choice.keys, values, strict=True)}
    return found


def regret(regrets, genotype):
    return sum(regrets[path][key] for path, key in genotype.choices.items())


@given(regrets(), st.integers(1, 12))
def test_it_keeps_the_budget_and_no_single_change_does_better(regrets, limit):
    def admits(genotype):
        return cost(genotype) <= limit

    found = local_search(SIZES, CHEAPEST, regrets, admits)
    assert admits(found)
    assert regrets["free"][found["free"]] == 0
    for key, value in regrets["first"].items():
        other = SIZES.genotype({**found.choices, "first": key})
        assert value >= regrets["first"][found["first"]] or not admits(other)


@given(regrets(), st.integers(0, SIZES.size() - 1))
def test_without_a_budget_it_reaches_the_preferred_keys_from_anywhere(regrets, rank):
    found = local_search(SIZES, SIZES.unrank(rank), regrets, lambda genotype: True)
    assert regret(regrets, found) == pytest.approx(0)


@given(regrets())
def test_where_nothing_else_is_admitted_it_stays(regrets):
    assert local_search(SIZES, CHEAPEST, regrets, lambda genotype: genotype == CHEAPEST) == CHEAPEST


SWITCHES = Group({name: ValueChoice("on", "off") for name in "abcde"})
PAIRS = SearchSpace("pairs", SWITCHES, constraints=[Limit({"*": ["on"]}, at_least=2, at_most=2)])


@given(st.lists(st.floats(0.1, 5), min_size=5, max_size=5, unique=True), st.integers(0, 9))
def test_where_a_constraint_ties_choices_together_they_change_together(gains, rank):
    found = {name: {"on": 0.0, "off": gain} for name, gain in zip("abcde", gains, strict=True)}
    found_on = local_search(PAIRS, PAIRS.unrank(rank), found, PAIRS.admits)
    on = {name for name, key in found_on.choices.items() if key == "on"}
    assert on == set(sorted("abcde", key=lambda name: -found[name]["off"])[:2])
