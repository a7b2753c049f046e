"""How much a trial may spend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.data import LabelledVolumes, StoredVolumes, VaryingVolumes
from medpipe_core.execution.fidelity import Fidelity, FidelityError, shrunk


def data(count=20, size=(4, 6, 8), dtype="u1", patients=None):
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (count, 1, *size))
    volumes = (volumes / 255).astype(dtype) if dtype == "f4" else volumes.astype(dtype)
    return LabelledVolumes(volumes, np.arange(count) % 2, patients)


def test_the_whole_is_the_default():
    whole = data()
    assert Fidelity(3).of_training(whole, seed=0) is whole
    assert Fidelity(3).of_validation(whole) is whole


@given(share=st.floats(0.1, 0.95), seed=st.integers(0, 99))
def test_a_share_of_the_volumes_keeps_classes_and_patients_together(share, seed):
    patients = np.repeat(np.arange(20), 2)  # each has a volume of each class
    whole = data(40, size=(1, 1, 1), patients=patients)
    part = Fidelity(1, volumes=share).of_training(whole, seed=seed)
    assert abs(len(part) - 40 * share) <= 3
    assert np.ptp(np.bincount(part.labels, minlength=2)) <= 2
    counts = np.unique(part.groups, return_counts=True)[1]
    assert set(counts) == {2}


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_smaller_volumes_are_averages_of_the_same_type(dtype):
    whole = data(dtype=dtype)
    part = Fidelity(1, edge=0.5).of_validation(whole)
    assert part.volumes.shape == (20, 1, 2, 3, 4)
    assert part.volumes.dtype == whole.volumes.dtype
    blocks = whole.volumes.astype(float).reshape(20, 1, 2, 2, 3, 2, 4, 2).mean((3, 5, 7))
    expected = blocks.round() if dtype == "u1" else blocks
    np.testing.assert_allclose(part.volumes, expected, atol=1e-6)
    assert np.array_equal(part.labels, whole.labels)


def test_each_axis_may_have_a_share_of_its_own():
    assert shrunk(data(), (1, 0.5, 0.25)).volumes.shape == (20, 1, 4, 3, 2)
    whole = data()
    assert shrunk(whole, (1.0, 1.0, 1.0)) is whole
    with pytest.raises(FidelityError, match="2 shares for volumes of 3 axes"):
        shrunk(whole, (1, 0.5))


def test_no_axis_vanishes():
    assert Fidelity(1, edge=0.01).of_validation(data()).volumes.shape[2:] == (1, 1, 1)


def test_training_volumes_are_smaller_as_well():
    part = Fidelity(1, volumes=0.5, edge=0.5).of_training(data(), seed=0)
    assert part.volumes.shape == (10, 1, 2, 3, 4)


@pytest.mark.parametrize(
    "wrong", [{"epochs": -1}, {"epochs": 1, "volumes": 0}, {"epochs": 1, "edge": 1.5}]
)
def test_what_is_no_fidelity_is_refused(wrong):
    with pytest.raises(FidelityError):
        Fidelity(**wrong)


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_stored_volumes_stay_stored_and_have_the_same_averages(dtype):
    inside = data(dtype=dtype)
    stored = LabelledVolumes(StoredVolumes([inside.volumes]), inside.labels)
    small = shrunk(stored, (1, 0.5, 0.5)).volumes
    assert isinstance(small, StoredVolumes)
    assert not small.varies
    expected = shrunk(inside, (1, 0.5, 0.5)).volumes
    assert small.dtype == expected.dtype
    assert np.array_equal(small[:], expected)
    assert np.array_equal(small[np.array([3, 1])], expected[[3, 1]])


def test_smaller_volumes_are_drawn_anew_as_whole_ones_are():
    inside = data(dtype="f4")

    def draw(row, seed):
        return np.roll(inside.volumes[row], seed, axis=1)

    varying = StoredVolumes([VaryingVolumes(inside.volumes, draw)])
    part = Fidelity(1, volumes=0.5, edge=0.5).of_training(
        LabelledVolumes(varying, inside.labels), seed=0
    )
    assert part.volumes.varies
    assert np.array_equal(
        part.volumes[:], Fidelity(1, volumes=0.5, edge=0.5).of_training(inside, seed=0).volumes
    )
    rolled = LabelledVolumes(np.roll(inside.volumes, 3, axis=2), inside.labels)
    expected = Fidelity(1, volumes=0.5, edge=0.5).of_training(rolled, seed=0).volumes
    assert np.array_equal(part.volumes.drawn(3)[:], expected)
    assert not part.fixed().volumes.varies
