from __future__ import annotations

import numpy as np
import pytest

from medpipe_core.data import (
    DataError,
    LabelledVolumes,
    SealedTest,
    TestSetError,
    blank,
    describe,
    overlap,
)


def volumes(*values, labels=None):
    array = np.zeros((len(values), 1, 2, 2, 2), np.uint8)
    array[:, 0, 0, 0, 0] = values
    return LabelledVolumes(array, np.zeros(len(values), np.int64) if labels is None else labels)


def test_a_sealed_test_set_is_not_read_until_it_is_opened_and_opens_once():
    reads = []
    sealed = SealedTest(lambda: reads.append(1) or volumes(1, 2))
    assert not sealed.opened
    assert reads == []
    assert len(sealed.open(after="abc")) == 2
    assert sealed.opened
    with pytest.raises(TestSetError, match="read before, after abc"):
        sealed.open(after="again")
    assert reads == [1]


def test_blank_and_doubled_volumes_are_counted():
    data = volumes(0, 5, 5, 7, labels=np.array([0, 1, 1, 1]))
    assert blank(data) == [0]
    facts = describe(data, ("a", "b"))
    assert facts["per_class"] == {"a": 1, "b": 3}
    assert facts["majority_share"] == 0.75
    assert (facts["blank"], facts["doubles"]) == (1, 1)
    assert overlap(data, volumes(7, 8)) == 1


def test_joined_volumes_follow_one_another():
    both = volumes(1, 2).join(volumes(3))
    assert both.volumes[:, 0, 0, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("array", "labels", "reason"),
    [
        (np.zeros((2, 1, 3, 3, 3), np.int16), np.zeros(2, np.int64), "uint8.*scaled"),
        (np.zeros((2, 3), np.uint8), np.zeros(2, np.int64), "count, channel"),
        (np.zeros((2, 1, 3, 3, 3), np.uint8), np.zeros(3, np.int64), r"labels must be \(2,\)"),
        (np.zeros((2, 1, 3, 3, 3), np.uint8), np.zeros(2), "whole numbers"),
        (np.zeros((2, 1, 3, 3, 3), np.uint8), np.array([-1, 0]), "count from 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array, labels, reason):
    with pytest.raises(DataError, match=reason):
        LabelledVolumes(array, labels)


@pytest.mark.parametrize(
    "groups", [["p", "q"], np.array(["p", "q"], object), np.array([7, 8], np.uint8), [7, 8]]
)
def test_patients_are_whole_numbers_or_texts(groups):
    data = LabelledVolumes(np.zeros((2, 1, 3, 3, 3), np.uint8), np.zeros(2, int), groups)
    assert data.groups.tolist() == list(groups)


@pytest.mark.parametrize("groups", [[0.5, float("nan")], ["p"], np.array(["p", None], object)])
def test_patients_that_cannot_be_told_apart_are_refused(groups):
    with pytest.raises(DataError, match="groups must be"):
        LabelledVolumes(np.zeros((2, 1, 3, 3, 3), np.uint8), np.zeros(2, int), groups)
