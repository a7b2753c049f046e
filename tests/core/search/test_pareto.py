"""Fronts and crowding, on points whose answers are plain."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.search.pareto import crowding, dominates, fronts, ranked

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def test_a_point_dominates_what_is_nowhere_better_and_somewhere_worse():
    assert dominates((1, 2), (1, 3))
    assert not dominates((1, 2), (1, 2))
    assert not dominates((1, 3), (2, 2))


def test_fronts_are_peeled_off_one_after_another():
    points = [(3, 3), (1, 4), (4, 1), (2, 2), (4, 4), (2, 2)]
    assert fronts(points) == [[1, 2, 3, 5], [0], [4]]
    assert fronts([]) == []


@given(POINTS)
def test_no_point_of_a_front_dominates_another_and_each_later_one_is_dominated(points):
    found = fronts(points)
    assert sorted(i for front in found for i in front) == list(range(len(points)))
    for number, front in enumerate(found):
        assert not any(dominates(points[i], points[j]) for i in front for j in front)
        before = found[number - 1] if number else []
        assert not number or all(
            any(dominates(points[j], points[i]) for j in before) for i in front
        )


def test_crowding_is_the_gap_between_neighbours_as_a_share_of_the_range():
    points = [(0, 10), (1, 6), (4, 5), (10, 0)]
    assert crowding(points) == [
        math.inf, pytest.approx(4 / 10 + 5 / 10), pytest.approx(9 / 10 + 6 / 10), math.inf,
    ]  # fmt: skip


def test_an_objective_that_is_the_same_for_all_separates_nothing():
    assert crowding([(1, 1), (1, 1), (1, 1)]) == [0, 0, 0]
    assert crowding([(0, 7), (1, 7), (3, 7)]) == [math.inf, 1, math.inf]
    assert crowding([]) == []


def test_the_least_crowded_of_a_front_come_first_and_later_fronts_after():
    points = [(9, 9), (1, 6), (4, 5), (0, 10), (10, 0)]
    assert ranked(points) == [3, 4, 2, 1, 0]


@given(st.lists(st.integers(0, 9), max_size=12))
def test_by_one_objective_it_is_a_front_for_each_value(values):
    points = [(value,) for value in values]
    assert [[values[i] for i in front] for front in fronts(points)] == [
        [value] * values.count(value) for value in sorted(set(values))
    ]
