"""What every dataset promises of its parts: training, validation and test."""

from __future__ import annotations

import copy
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import (
    Development,
    LabelledVolumes,
    StoredVolumes,
    blank,
    describe,
    overlap,
    value_range,
)
from medpipe_core.testing.checking import given, in_words, require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

PARTS = ("train", "validation", "test")
_KINDS = {"i": "whole numbers", "u": "whole numbers"}
_MANY_VALUES = 32  # below which unlike volumes may have the same voxels by chance
_DRAWN, _SEEDS = 4, 8  # volumes that are drawn, and how often
_DARK = 1 / 64  # what the brightest voxel is above, as a share of what it could be


class PartsContract:
    """The half of `DatasetContract` that is about volumes, labels and patients of the parts."""

    dataset: Any = None
    settings: Mapping[str, Any] = {}
    most_doubles: int = 0
    absent: Sequence[str] = ()

    def test_volumes_are_as_the_card_says(self) -> None:
        """Every part has volumes of the card's channels and size, with intensities in range."""
        card = self.make().card
        for name, part in self.parts().items():
            require(len(part) > 0, f"{name} has no volumes")
            found, expected = part.volumes.shape[1:], (card.channels, *card.size)
            require(
                found == expected,
                f"{name} has volumes of shape {found}, but the card says {expected} "
                "(channels, depth, height, width)",
            )
            if part.volumes.dtype == np.uint8:
                continue
            low, high = value_range(part.volumes)
            require(
                low >= 0 and high <= 1,
                f"{name} has intensities in [{low}, {high}]; floating-point volumes are in [0, 1] "
                "and finite. Rescale them, or hand them out as uint8",
            )

    def test_labels_are_among_the_classes(self) -> None:
        """Labels count from 0 to the number of classes."""
        classes = self.make().card.classes
        for name, part in self.parts().items():
            low, high = int(part.labels.min()), int(part.labels.max())
            require(
                low >= 0 and high < len(classes),
                f"{name} has labels from {low} to {high}, but the card names {len(classes)} "
                f"classes, so they go from 0 to {len(classes) - 1}. Add the class to the card, or "
                "number the labels anew",
            )
            with in_words(f"{name} cannot be described."):
                describe(part, classes)

    def test_intensities_are_those_of_images(self) -> None:
        """No part is blank, and no part is next to black for having been scaled twice, or not."""
        for name, part in self.parts().items():
            require(
                len(blank(part)) < len(part),
                f"every volume of {name} is blank: all of its voxels have one value. Look at how "
                "it is read and scaled",
            )
            whole = part.volumes.dtype == np.uint8
            highest = value_range(part.volumes)[1]
            require(
                highest > (_DARK * 255 if whole else _DARK),
                f"the brightest voxel of {name} is {highest:g}, of "
                f"{'255' if whole else '1.0'} that volumes of {part.volumes.dtype} can have: next "
                "to black. Masks of 0 and 1 are handed out as floating-point numbers, or times "
                "255; intensities are divided by their largest possible value once",
            )

    def test_every_class_is_in_every_part(self) -> None:
        """There is something to learn and to test of each class."""
        classes = self.make().card.classes
        for name, part in self.parts().items():
            there = set(part.labels.tolist())
            lacking = [c for label, c in enumerate(classes) if label not in there]
            lacking = [c for c in lacking if name == "train" or c not in self.absent]
            require(
                not lacking,
                f"{name} has no volume of {', '.join(lacking)}. "
                + (
                    "Split by class, or leave the class out of the card"
                    if name == "train"
                    else "Figures on it would be too good, or could not be told, as the area under "
                    "the ROC curve of one class. Split by class (medpipe_core.data.split does); if "
                    "published data are so, name the classes in `absent` of the test"
                ),
            )

    def test_parts_have_no_volume_in_common(self) -> None:
        """Training, validation and test share no volume, voxel for voxel."""
        for (name, part), (other_name, other) in itertools.combinations(self.parts().items(), 2):
            both = overlap(part, other)
            require(
                both <= self.most_doubles,
                f"{both} volumes are in {name} and in {other_name}, so that figures on the one say "
                "nothing. Remove the doubles before splitting; if published data have them, say "
                "how many with most_doubles in the test",
            )

    def test_parts_have_no_mirrored_volume_in_common(self) -> None:
        """They share none that was mirrored or turned, either."""
        found = {name: _turned(part) for name, part in self.parts().items()}
        for (name, part), (other_name, other) in itertools.combinations(found.items(), 2):
            both = len(part & other)
            require(
                both <= self.most_doubles,
                f"{both} volumes of {name} have the very voxels of volumes of {other_name}, in "
                "another order: they were mirrored, turned or shuffled. Split first, and leave "
                "augmentation to the search; most_doubles allows for published data",
            )

    def test_no_patient_is_in_two_parts(self) -> None:
        """Where patients are known, each is in one part alone, however its name is written."""
        for (name, part), (other_name, other) in itertools.combinations(self.parts().items(), 2):
            both = sorted(_patients(part) & _patients(other))
            require(
                not both,
                f"patients {', '.join(both[:5])} are in {name} and in {other_name}. Split by "
                "patient, not by volume",
            )

    def test_patients_are_known_in_every_part_or_in_none(self) -> None:
        """Parts name their patients alike, so that one that is in two parts would be seen."""
        parts = self.parts()
        kinds = {
            name: "none" if part.groups is None else _KINDS.get(part.groups.dtype.kind, "texts")
            for name, part in parts.items()
        }
        require(
            len(set(kinds.values())) == 1,
            f"the parts do not name their patients alike ({_listed(kinds)}), so that nobody can "
            "see whether a patient is in two of them. Hand `groups` to LabelledVolumes in every "
            "part, of one type, or in none if every volume is of another patient",
        )

        for name, part in parts.items():
            require(
                part.groups is None or len(part) == 1 or len(_patients(part)) > 1,
                f"all {len(part)} volumes of {name} are of one patient, so that figures on it say "
                "nothing of others. Does `groups` name the patient of each volume?",
            )

    def test_what_is_drawn_anew_follows_from_the_seed(self) -> None:
        """Training volumes that vary are the same for one seed, whoever reads them in any order."""
        one, again = (self.parts()["train"].volumes for _ in range(2))
        if not (isinstance(one, StoredVolumes) and isinstance(again, StoredVolumes) and one.varies):
            return
        rows = np.arange(min(len(one), _DRAWN))
        drawn, repeated = one.drawn(0), again.drawn(0)
        backwards = np.stack([repeated[row] for row in rows[::-1]])[::-1]
        require(
            bool(np.array_equal(drawn[rows], backwards)),
            "training volumes are drawn differently from the same seed by a second dataset that "
            "reads them in another order; draw from the seed that is handed over and the case",
        )
        others = (one.drawn(seed)[rows] for seed in range(1, _SEEDS))
        require(
            any(not np.array_equal(drawn[rows], other) for other in others),
            f"training volumes vary, and are drawn the same from {_SEEDS} seeds; hand over what "
            "stays the same as an array",
        )

    # For tests of your own

    def varied(self, **attributes: Any) -> Self:
        """Return the contract with other attributes."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def make(self) -> Any:
        """Make the dataset."""
        __tracebackhide__ = True
        with in_words(f"the dataset cannot be made with {dict(self.settings)}."):
            return given(self, "dataset")(**self.settings)

    def parts(self) -> dict[str, LabelledVolumes]:
        """Read all parts of a fresh dataset."""
        __tracebackhide__ = True
        dataset = self.make()
        with in_words("the data cannot be read."):
            development = dataset.development()
            test = dataset.sealed_test().open(after="a contract test")
        require(
            isinstance(development, Development),
            f"development() gives a {type(development).__name__}, not a "
            "medpipe_core.data.Development",
        )
        return {"train": development.train, "validation": development.validation, "test": test}


def _patients(part: LabelledVolumes) -> set[str]:
    """Return the patients of a part, as texts without capitals and space around them."""
    if part.groups is None:
        return set()
    names = (n.decode() if isinstance(n, bytes) else str(n) for n in part.groups.tolist())
    return {name.strip().casefold() for name in names}


def _turned(part: LabelledVolumes) -> set[bytes]:
    """Return what identifies volumes whatever the order of their voxels; many-valued ones alone."""
    found = set()
    for volume in part.volumes:
        voxels = np.sort(volume, axis=None)
        if len(np.unique(voxels)) >= _MANY_VALUES:
            found.add(hashlib.sha256(voxels.tobytes()).digest())
    return found


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
