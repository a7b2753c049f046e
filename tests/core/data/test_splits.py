from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_core.data import DataError, halves, split

LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**31)


@given(LABELS, SEEDS)
@settings(deadline=None)
def test_halves_are_equal_stratified_and_complete(labels, seed):
    one, other = halves(labels, seed=seed)
    assert sorted([*one, *other]) == list(range(len(labels)))
    assert abs(len(one) - len(other)) <= 1
    for label in np.unique(labels):
        assert abs((labels[one] == label).sum() - (labels[other] == label).sum()) <= 1


@given(LABELS, st.data(), SEEDS)
@settings(deadline=None)
def test_no_patient_is_on_both_sides(labels, data, seed):
    patients = data.draw(
        st.lists(st.integers(0, 9), min_size=len(labels), max_size=len(labels)).map(np.array)
    )
    if len(np.unique(patients)) < 2:
        with pytest.raises(DataError, match="of 1 patient"):
            halves(labels, patients, seed=seed)
        return
    one, other = halves(labels, patients, seed=seed)
    assert sorted([*one, *other]) == list(range(len(labels)))
    assert not set(patients[one]) & set(patients[other])


def test_the_seed_decides():
    labels = np.repeat([0, 1], 20)
    assert np.array_equal(halves(labels, seed=1)[0], halves(labels, seed=1)[0])
    assert not np.array_equal(halves(labels, seed=1)[0], halves(labels, seed=2)[0])


def test_a_share_is_kept_in_every_class():
    labels = np.repeat([0, 1], [400, 100])
    part, _ = split(labels, share=0.2, seed=0)
    assert np.bincount(labels[part]).tolist() == [80, 20]


@pytest.mark.parametrize("share", [-1, 0, 1, 5, float("nan")])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(DataError, match="share="):
        split(np.repeat([0, 1], 4), share=share, seed=0)


def test_labels_and_patients_are_taken_as_a_set_of_volumes_takes_them():
    labels = np.repeat([0, 1], 10)
    patients = np.arange(20) // 2
    expected = split(labels, patients, share=0.3, seed=0)
    for same in (labels[:, None], labels.astype(">u2"), labels.tolist(), labels.astype(object)):
        found = split(same, patients, share=0.3, seed=0)
        assert all(map(np.array_equal, found, expected))
    one, other = split(labels, [1, "1", 2, 2, *"abcdefghijklmnop"], share=0.5, seed=0)
    assert {0, 1} <= set(one) or {0, 1} <= set(other)
    assert len(split(labels * 2**62, share=0.5, seed=0)[0]) == 10  # names of classes, not counts
    with pytest.raises(DataError, match="cannot split 1 volume of 1 patient in two"):
        halves(np.array([0]), seed=0)
