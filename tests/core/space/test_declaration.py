"""What a declaration of values may be."""

from __future__ import annotations

import pytest

from medpipe_core import SpaceError, ValueChoice


@pytest.mark.parametrize(
    ("values", "bounds", "words"),
    [
        ((0.0, "a"), {"ge": 0}, "ge=0 can hold for numbers only, but among the values is 'a'"),
        (("a", "b"), {"lt": 2}, "among the values is 'a', 'b'"),
        ((None, 0.5), {"ge": 0, "le": 1}, "ge=0, le=1 can hold .* is None"),
        ((True, False), {"le": 1}, "among the values is True, False"),
        ((1,), {"ge": "x"}, "ge='x' is no bound; give a finite number"),
        ((1,), {"gt": True}, "gt=True is no bound"),
        ((1,), {"le": float("nan")}, "le=nan is no bound"),
    ],
)
def test_a_bound_needs_numbers(values, bounds, words):
    with pytest.raises(SpaceError, match=words):
        ValueChoice(*values, **bounds)


def test_values_of_several_kinds_need_no_bound():
    assert ValueChoice(0.0, "a", None).declaration.limits == ""


def test_bounds_hold_for_whole_and_other_numbers():
    assert ValueChoice(1, 2.5, gt=0, le=2.5).declaration.limits == "> 0, ≤ 2.5"
