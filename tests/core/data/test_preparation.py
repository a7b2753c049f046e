"""A chain is plain data: checked as a whole, run in order, and its failures told by step."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from medpipe_core.data import DataError, Volume, check_chain, prepared
from medpipe_core.plugins import load_plugins


@dataclass(frozen=True)
class Scale:
    by: float = 0.5

    def __call__(self, scan):
        return scan.with_values(scan.values * self.by)


def failing():
    def fail(scan):
        raise IndexError("no such slice")

    return fail


@pytest.fixture(scope="module")
def registry():
    loaded = load_plugins().adding("preparation", "scale", Scale)
    return loaded.adding("preparation", "failing", failing)


def scan(value=1.0):
    return Volume(np.full((2, 3, 4), value, np.float32))


def test_steps_run_in_order_and_a_channel_is_added(registry):
    chain = [
        {"name": "scale", "parameters": {"by": 4}},
        {"name": "window", "parameters": {"low": 0, "high": 8}},
    ]
    found = prepared(scan(), chain, registry)
    assert found.shape == (1, 2, 3, 4)
    assert found.dtype == np.float32
    assert (found == 0.5).all()


def test_what_is_for_training_counts_in_training_alone(registry):
    chain = [{"name": "scale", "parameters": {"by": 1}, "training": {"by": 0.25}}]
    assert prepared(scan(), chain, registry).max() == 1
    assert prepared(scan(), chain, registry, training=True).max() == 0.25


def test_a_checked_chain_names_every_parameter_and_is_json(registry):
    chain = check_chain([{"name": "resize"}, {"name": "fill", "parameters": {}}], registry)
    assert chain == [
        {"name": "resize", "parameters": {"size": 64}},
        {"name": "fill", "parameters": {"value": None}},
    ]
    assert check_chain(json.loads(json.dumps(chain)), registry) == chain


def test_all_that_is_wrong_with_a_chain_is_told_at_once(registry):
    chain = [
        {"name": "resise"},
        "window",
        {"name": "window", "parameters": {"low": 3, "hihg": 4}},
        {"name": "scale", "more": 1},
        {"name": "scale", "training": {"by": "much"}},
    ]
    with pytest.raises(DataError) as caught:
        check_chain(chain, registry)
    told = str(caught.value)
    for number in range(1, 6):
        assert f"step {number}: " in told
    assert "'resize'" in told
    assert "'high'" in told
    with pytest.raises(DataError, match="a list of steps"):
        check_chain("ct-lung", registry)


def test_a_step_that_fails_is_named(registry):
    with pytest.raises(DataError, match="preparation 2, 'failing' raised IndexError"):
        prepared(scan(), [{"name": "scale"}, {"name": "failing"}], registry)


def test_what_an_interpolation_rounds_beyond_the_range_is_cut(registry):
    found = prepared(scan(1 + 2e-6), [], registry)
    assert found.max() == 1
    assert prepared(scan(-2e-6), [], registry).min() == 0


@pytest.mark.parametrize("value", [2.0, -0.1, np.nan, np.inf])
def test_what_is_not_in_the_unit_range_at_the_end_is_refused(registry, value):
    with pytest.raises(DataError, match="in \\[0, 1\\]"):
        prepared(scan(value), [], registry)
