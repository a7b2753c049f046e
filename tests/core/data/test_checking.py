"""What a dataset hands over: what is refused, and what is only noted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from medpipe_core.data import (
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    SealedTest,
    check_card,
    check_development,
    check_sealed,
    check_volumes,
    shared_patients,
)

CARD = DatasetCard("toy", "Toy", ("a", "b"), 1, (3, 3, 3), "made here", "none")


def data(count=8, seed=0, *, dtype=np.uint8, channels=1, classes=2, patients=None):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 255, (count, channels, 3, 3, 3))
    volumes = drawn.astype(dtype) if dtype == np.uint8 else (drawn / 255).astype(dtype)
    groups = None if patients is None else np.array(patients)
    return LabelledVolumes(volumes, np.arange(count) % classes, groups)


def development(train=None, validation=None):
    validation = data(4, 1) if validation is None else validation
    return Development(data() if train is None else train, validation)


def test_what_fits_its_card_passes_without_a_note():
    check_card(CARD)
    assert check_development(development(), CARD) == ()
    assert check_development(development(data(dtype=np.float32)), CARD) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"classes": ("a",)}, "at least two"),
        ({"classes": "ab"}, "at least two"),
        ({"classes": ("a", "a")}, "each once"),
        ({"size": ()}, "whole numbers"),
        ({"size": (3, 3, 2.5)}, r"size=\(3, 3, 2.5\)"),
        ({"channels": 0}, "channels=0"),
    ],
)
def test_a_card_that_cannot_be_is_refused(change, reason):
    with pytest.raises(DataError, match=reason):
        check_card(dataclasses.replace(CARD, **change))


def test_what_is_no_card_is_refused():
    with pytest.raises(DataError, match="its card is a dict"):
        check_card({"name": "toy"})


SAME = data()
REFUSED = {
    "a tuple": ((data(), data(4, 1)), "gives a tuple; return Development"),
    "arrays": (development(np.zeros((2, 1, 3, 3, 3))), "train is a ndarray"),
    "two channels": (development(data(channels=2)), r"shape \(2, 3, 3, 3\), but .* \(1, 3, 3, 3\)"),
    "no volumes": (development(validation=data(0)), "validation has no volumes"),
    "labels from 1": (
        development(dataclasses.replace(SAME, labels=SAME.labels + 1)),
        "train has labels from 1 to 2, but the card names 2 classes",
    ),
    "0 to 255 as float": (
        development(dataclasses.replace(SAME, volumes=SAME.volumes.astype(np.float32))),
        r"train has intensities in \[\d+, 25\d\]",
    ),
    "not a number": (
        development(
            dataclasses.replace(SAME, volumes=np.full_like(SAME.volumes, np.nan, np.float32))
        ),
        r"intensities in \[nan, nan\]; .* finite",
    ),
    "a class without volumes": (development(data(classes=1)), "train has no volume of 'b'"),
    "validation is train": (development(SAME, SAME), "every volume of validation is in train"),
    "validation is a part of train": (
        development(SAME, SAME.take(np.arange(3))),
        "every volume of validation is in train",
    ),
    "patients on both sides": (
        development(data(4, patients=list("pqrs")), data(4, 1, patients=list("sptu"))),
        r"2 patients are in train and in validation \(p, s\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_on_which_figures_would_mean_nothing_are_refused(case):
    made, reason = REFUSED[case]
    with pytest.raises(DataError, match=reason):
        check_development(made, CARD)


def test_what_is_odd_and_can_be_trained_on_is_noted():
    shared = data(2, 1).join(SAME.take(np.arange(1)))
    assert check_development(development(SAME, shared), CARD) == (
        "1 volumes are in train and in validation, voxel for voxel.",
    )
    one_class = check_development(development(SAME, data(4, 1, classes=1)), CARD)
    assert one_class == ("validation has no volume of 'b'.",)


def test_a_test_set_comes_sealed():
    check_sealed(SealedTest(data))
    with pytest.raises(DataError, match=r"gives a LabelledVolumes; return SealedTest\(read\)"):
        check_sealed(data())
    opened = SealedTest(data)
    opened.open(after="nothing")
    with pytest.raises(DataError, match="is open"):
        check_sealed(opened)


def test_a_test_set_is_held_to_the_card_too():
    with pytest.raises(DataError, match="test has volumes of shape"):
        check_volumes(data(channels=3), CARD, "test")


def test_patients_are_shared_only_where_both_sides_name_them():
    assert shared_patients(data(2, patients=[3, 1]), data(2, 1, patients=[1, 2])) == [1]
    assert shared_patients(data(2, patients=[3, 1]), data(2, 1)) == []
