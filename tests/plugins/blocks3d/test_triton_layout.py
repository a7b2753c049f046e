"""How channels and places are cut up."""

from __future__ import annotations

import math

import pytest

from medpipe_plugins.blocks3d.triton_layout import TYPES, ceil_div, factors


@pytest.mark.parametrize(("channels", "unit"), [(96, 8), (12, 4), (5, 1), (8, 8)])
def test_channels_are_a_multiple_of_what_is_read_at_once(channels, unit):
    assert factors(channels) == (channels // unit, unit)
    assert math.prod(factors(channels)) == channels
    assert unit * min(dtype.itemsize for dtype in TYPES) <= 16


def test_parts_cover_the_whole():
    assert [ceil_div(whole, 4) for whole in (1, 4, 5)] == [1, 1, 2]
