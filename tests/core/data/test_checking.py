"""What a dataset hands over: what is refused, and what is only noted."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from medpipe_core.data import (
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
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
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"spacing": (1, 1)}, "spacing"),
        ({"spacing": "1 mm"}, "spacing"),
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
        r"train has voxels that are not finite in 8 volumes, numbers 0, 1, 2, 3, 4, …; .* finite",
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
        "1 volume is in train and in validation, voxel for voxel.",
    )
    one_class = check_development(development(SAME, data(4, 1, classes=1)), CARD)
    assert one_class == ("validation has no volume of 'b'.",)


def test_patient_1_is_patient_1_however_it_was_read():
    spoken = [[1, 2], ["1", "3"], np.array([1, 4], np.uint8), np.array([b"1", b"5"]), [" 1", "6"]]
    for one in spoken:
        for other in spoken:
            found = shared_patients(data(2, patients=one), data(2, 1, patients=other))
            assert "1" in found
    with pytest.raises(DataError, match=r"1 patient is in train and in validation \(1\), so"):
        check_development(
            development(data(4, patients=[1, 2, 3, 4]), data(4, 1, patients=list("5167"))), CARD
        )
    both = data(2, patients=[1, 2]).join(data(2, 3, patients=["3", "4"]))
    with pytest.raises(DataError, match="2 patients are in train and in validation"):
        check_development(development(both, data(2, 1, patients=[3, 2])), CARD)


def test_volumes_in_two_types_are_doubles_all_the_same():
    same = dataclasses.replace(SAME, volumes=SAME.volumes[:2] / 255, labels=SAME.labels[:2])
    validation = data(4, 1, dtype=np.float32).join(same)
    (note,) = check_development(development(SAME, validation), CARD)
    assert note == "2 volumes are in train and in validation, voxel for voxel."


def test_all_that_is_wrong_is_told_at_once_and_by_the_volumes_names():
    volumes = data(8, dtype=np.float32).volumes
    volumes[3, 0, 1, 1, 1], volumes[5, 0, 0, 0, 0], volumes[6, 0, 0, 0, 0] = np.nan, -2, np.inf
    train = LabelledVolumes(volumes, np.array([0, 1, 0, 1, 0, 7, 0, 1]), list("abcdefgh"))
    with pytest.raises(DataError) as caught:
        check_development(development(train, data(4, 1, channels=2)), CARD)
    told = str(caught.value)
    assert "not finite in 2 volumes, numbers 3 (patient d), 6 (patient g)" in told
    assert "intensities in [-2, " in told
    assert "in volume number 5 (patient f)" in told
    assert "labels from 0 to 7" in told
    assert "validation has volumes of shape (2, 3, 3, 3)" in told
    assert "nan, nan" not in told


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        (lambda d: (d > 99).astype(np.uint8), r"exceeds 1 of 255, so .* at most 0\.0039 .* bool"),
        (lambda d: (d > 99) * np.float32(1 / 255), r"exceeds 0\.0039\d+ of 1, so that networks"),
        (
            lambda d: (d / 65535 * 16).astype(np.float32),
            "exceeds .* of 1, .* divide by the largest value",
        ),
        (lambda d: (d > 99) * np.uint8(10), "exceeds 10 of 255, so that networks see"),
    ],
)
@pytest.mark.parametrize("part", ["train", "validation"])
def test_intensities_that_were_probably_never_scaled_are_noted(volumes, reason, part):
    faint = dataclasses.replace(data(4, 3), volumes=volumes(data(4, 3).volumes))
    sets = {"train": data(), "validation": data(4, 1), part: faint}
    (note,) = check_development(development(**sets), CARD)
    assert re.search(f"no voxel of {part} {reason}", note)


def test_masks_of_bool_are_noted_nowhere():
    masks = dataclasses.replace(SAME, volumes=SAME.volumes > 99)
    assert check_development(development(masks), CARD) == ()


@pytest.mark.parametrize("whole", [np.int64, np.int32, np.uint8])
def test_a_card_of_numpys_numbers_is_one_of_pythons(whole):
    card = dataclasses.replace(
        CARD, channels=whole(1), size=np.array([3, 3, 3], whole), classes=np.array(["a", "b"])
    )
    check_card(card)
    assert card == CARD
    assert json.loads(json.dumps(card.to_dict()))["size"] == [3, 3, 3]
    assert dataclasses.replace(CARD, notes="one note").notes == ("one note",)
    assert Development(SAME, SAME, "one note").notes == ("one note",)


@pytest.mark.parametrize("change", [{"size": 3}, {"classes": None}, {"title": None}, {"size": "3"}])
def test_a_card_of_the_wrong_types_is_refused_in_words(change):
    with pytest.raises(DataError, match=r"its card (says|names)"):
        check_card(dataclasses.replace(CARD, **change))


def test_the_outline_of_a_test_set_is_checked_while_it_is_closed():
    def read():
        raise AssertionError("the test set was read")

    for outline in (
        Outline((1, 3, 3, 3)),
        Outline((1, 3, 3, 3), "float16", "uint8"),
        Outline(np.array([1, 3, 3, 3]), bool),
        Outline.of(SAME),
    ):
        check_sealed(SealedTest(read, outline=outline), CARD)
    for outline, reason in (
        (Outline((1, 3, 3, 3), np.uint16), "test: volumes must be .* of uint16"),
        (Outline((1, 3, 3, 3), np.uint8, np.float32), "test: labels must be .* of float32"),
        (Outline((3, 3, 3)), r"test has volumes of shape \(3, 3, 3\), but the card says"),
        (Outline((3,)), "test: volumes must be"),
        (Outline((1, 3, 3, 3), "no type"), "test: "),
        ({"shape": (1, 3, 3, 3)}, "the outline of the test set is a dict"),
    ):
        with pytest.raises(DataError, match=reason):
            check_sealed(SealedTest(read, outline=outline), CARD)


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
    assert shared_patients(data(2, patients=[3, 1]), data(2, 1, patients=[1, 2])) == ["1"]
    assert shared_patients(data(2, patients=[3, 1]), data(2, 1)) == []
