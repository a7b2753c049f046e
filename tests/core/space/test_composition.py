"""What becomes of the budgets of spaces that are put side by side."""

from __future__ import annotations

import pytest

from medpipe_core import Budget, Group, Operation, SearchSpace, SpaceError, ValueChoice, compose

SMALL, LARGE = Budget(parameters=100), Budget(parameters=200, multiply_adds=10)


def network(budget=None):
    conv = Operation("block", "conv3d", {"channels": ValueChoice(4, 8)})
    return SearchSpace("network", Group({"stem": conv}), budget=budget)


def policy():
    flip = Operation("augmentation", "h_flip", {"p": ValueChoice(0.0, 0.5)})
    return SearchSpace("policy", Group({"flip": flip}))


def test_the_budget_of_the_only_part_with_blocks_is_kept():
    joint = compose("joint", augment=policy(), network=network(SMALL), lr=ValueChoice(0.1, 0.2))
    assert joint.budget == SMALL
    assert compose("joint", augment=policy(), network=network()).budget is None


@pytest.mark.parametrize(
    "parts",
    [
        {"one": network(SMALL), "two": network(LARGE)},
        {"one": network(SMALL), "two": network(SMALL)},
        {"one": network(SMALL), "two": network()},
        {"one": network(SMALL), "two": network().root},
    ],
)
def test_where_no_parts_budget_can_stand_for_the_whole_one_has_to_be_given(parts):
    with pytest.raises(SpaceError, match=r"compose 'joint': .*'one' has .*'two' has .*budget="):
        compose("joint", **parts)
    assert compose("joint", budget=LARGE, **parts).budget == LARGE
    assert compose("joint", budget=Budget(), **parts).budget == Budget()


def test_a_part_that_has_said_that_it_has_none_is_without_a_budget():
    assert compose("joint", one=network(Budget()), two=network()).budget is None


def test_composing_again_keeps_it():
    inner = compose("inner", augment=policy(), network=network(SMALL))
    assert compose("outer", inner=inner, training=Group({"lr": ValueChoice(1, 2)})).budget == SMALL


def test_a_part_that_is_no_space_is_named():
    with pytest.raises(SpaceError, match="compose 'joint': part 'network' is a int; give a Sear"):
        compose("joint", network=3)
