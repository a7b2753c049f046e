"""A prior towards operations that act: which choices it is about, and what is drawn with it."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from medpipe_core import (
    Group,
    Limit,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    SpaceError,
    ValueChoice,
)
from medpipe_core.space import active_weights, idle_keys

P = ValueChoice(0.0, 0.5, 0.8)


def layer(name="blur", p=P, kind="augmentation", **more):
    return Operation(kind, name, {"p": p, **more}, neutral={"p": 0.0})


def test_the_keys_at_which_nothing_happens_are_found_wherever_an_operation_stands():
    nothing = Operation("augmentation", "identity", neutral={})
    root = Shared(
        {"often": P, "whole": layer("whole")},
        Group(
            {
                "alone": layer(),
                "one": OperationChoice({"none": nothing, "some": layer()}),
                "many": Repeat(layer(), (0, 2)),
                "two": Group({"a": layer(p=Ref("often")), "b": Ref("whole")}),
                "block": layer(kind="block"),
                "plain": Operation("augmentation", "noise", {"p": P}),
            }
        ),
    )
    space = SearchSpace("all", root)
    found = idle_keys(space.root)
    zero = frozenset("0")
    assert found == {
        "whole/p": zero, "alone/p": zero, "one": frozenset(["none"]), "one/some/p": zero,
        "many/item1/p": zero, "many/item2/p": zero, "often": zero,
    }  # fmt: skip
    assert set(found) <= set(space.choices)
    assert idle_keys(space.root, "block") == {"block/p": zero}
    assert active_weights(space, 1.0)["one"] == (1000, 2718)


def test_a_size_of_nought_is_no_prior_and_draws_the_same():
    space = SearchSpace("two", Group({"a": layer(), "b": layer("erase", size=ValueChoice(1, 2))}))
    assert active_weights(space, 0.0) == {}
    one, other = random.Random(5), random.Random(5)
    drawn = [space.sample(rng=one) for _ in range(20)]
    assert drawn == [space.sample(rng=other, weights=active_weights(space, 0.0)) for _ in drawn]


def test_what_acts_on_one_volume_of_a_thousand_is_next_to_nothing():
    rare = Operation(
        "augmentation", "blur", {"p": ValueChoice(0.0, 0.001, 0.5)}, neutral={"p": 0.0}
    )
    below = Operation("augmentation", "gain", {"by": ValueChoice(-1, 1, 3)}, neutral={"by": 1})
    words = {"how": ValueChoice("off", "weak", "strong")}
    named = Operation("augmentation", "haze", words, neutral={"how": "off"})
    space = SearchSpace("some", Group({"a": rare, "b": below, "c": named}))
    assert active_weights(space, 2.0) == {
        "a/p": (1000, 1004, 7389), "b/by": (7389, 1000, 7389), "c/how": (1000, 7389, 7389),
    }  # fmt: skip


@pytest.mark.parametrize("size", [-1.0, 10.1, float("nan")])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(SpaceError, match=r"give a number in \[0, 10\]"):
        active_weights(SearchSpace("one", layer()), size)


@pytest.mark.parametrize("rare", [False, True])
def test_members_are_drawn_in_proportion_to_their_weights(rare):
    children = {"a": layer(), "b": layer("erase", size=ValueChoice(1, 2)), "c": P}
    limits = []
    if rare:  # so few that they are drawn from exact counts
        children |= {f"d{i}": P for i in range(3)}
        limits = [Limit({f"d{i}": ["0"] for i in range(3)}, at_least=3)]
    space = SearchSpace("some", Group(children), constraints=limits)
    weights = active_weights(space, 1.0)
    count, rng = 400, random.Random(3)
    drawn = [space.sample(rng=rng, weights=weights) for _ in range(count)]
    pairs = Counter((g["a/p"], g["b/p"]) for g in drawn)
    one = {
        key: math.exp(value / max(P.values)) for key, value in zip(P.keys, P.values, strict=True)
    }
    whole = sum(one.values()) ** 2
    cells = [(x, y) for x in P.keys for y in P.keys]
    expected = [count * one[x] * one[y] / whole for x, y in cells]
    seen = [pairs[cell] for cell in cells]
    assert chisquare(seen, expected).pvalue > 0.001
    assert chisquare(seen).pvalue < 1e-6  # it is not uniform
    others = Counter((g["b/size"], g["c"]) for g in drawn)
    assert chisquare([others[x, y] for x in "12" for y in P.keys]).pvalue > 0.001
