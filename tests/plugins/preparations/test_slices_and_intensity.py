"""A number of slices from any, and intensities in [0, 1]."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medpipe_core.data import DataError, Volume
from medpipe_plugins.preparations.intensity import (
    Fill,
    Normalise,
    PercentileWindow,
    Quantise,
    Window,
)
from medpipe_plugins.preparations.slices import Slices, middle_slices, random_slices

DEPTHS = st.integers(1, 600)


@given(DEPTHS, DEPTHS)
def test_slices_about_the_middle_are_even_and_in_order(depth, count):
    chosen = middle_slices(depth, count)
    assert len(chosen) == count
    assert chosen[0] >= 0
    assert chosen[-1] < depth
    steps = np.diff(chosen)
    if depth >= count:
        assert len(set(steps.tolist())) <= 1
        assert (steps > 0).all()
    else:
        assert set(chosen.tolist()) == set(range(depth))
        assert (steps >= 0).all()
        assert np.ptp(np.bincount(chosen)) <= 1
    assert abs(chosen[0] - (depth - 1 - chosen[-1])) <= 1


@given(DEPTHS, DEPTHS, st.integers(0, 99))
def test_slices_at_random_keep_their_order_and_repeat_only_where_they_must(depth, count, seed):
    chosen = random_slices(depth, count, np.random.default_rng(seed))
    assert len(chosen) == count
    assert chosen[0] >= 0
    assert chosen[-1] < depth
    assert (np.diff(chosen) >= 0).all()
    assert len(set(chosen.tolist())) == min(depth, count)


def test_a_draw_follows_from_seed_and_scan():
    values = np.random.default_rng(0).random((30, 2, 2), np.float32)
    step = Slices(count=8, how="random")
    assert np.array_equal(step(Volume(values)).values, step(Volume(values)).values)
    other = Slices(count=8, how="random", seed=1)(Volume(values)).values
    assert not np.array_equal(step(Volume(values)).values, other)


def test_a_window_is_cut_at_its_ends():
    values = np.array([[[-2000, -1350, -600, 150, 3000]]], np.float32)
    found = Window(low=-1350, high=150)(Volume(values)).values
    assert np.allclose(found, [[[0, 0, 0.5, 1, 1]]])
    with pytest.raises(ValidationError, match="has to be below"):
        Window(low=1, high=1)


def test_percentiles_are_those_of_each_channel():
    ramp = np.arange(101, dtype=np.float32).reshape(1, 1, 101)
    found = PercentileWindow(low=10, high=90)(Volume(np.stack((ramp, 1000 * ramp)))).values
    assert np.allclose(found[0], np.clip((ramp - 10) / 80, 0, 1), atol=1e-6)
    assert np.allclose(found[0], found[1], atol=1e-6)


def test_a_channel_of_one_value_becomes_nothing_and_is_told():
    flat, ramp = np.ones((1, 1, 3), np.float32), np.arange(3, dtype=np.float32).reshape(1, 1, 3)
    found = Normalise()(Volume(np.stack((ramp, flat))))
    assert np.allclose(found.values, [[[[0, 0.5, 1]]], [[[0, 0, 0]]]])
    assert found.notes == ("no range to scale in channel 1: it became 0",)


def test_what_is_not_finite_is_filled_or_refused():
    values = np.array([[[np.nan, -3, np.inf, 2]]], np.float32)
    found = Fill()(Volume(values))
    assert found.values.tolist() == [[[-3, -3, -3, 2]]]
    assert "2 voxels" in found.notes[0]
    with pytest.raises(DataError, match="no voxel is finite"):
        Fill()(Volume(values[..., :1]))
    with pytest.raises(DataError, match="'fill'"):
        Window(low=0, high=1)(Volume(values))


def test_bytes_come_back_as_they_were():
    byte = np.arange(256, dtype=np.float32).reshape(1, 1, 256) / np.float32(255)
    assert np.array_equal(Quantise()(Volume(byte)).values, byte)
