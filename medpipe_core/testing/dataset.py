"""What every dataset promises."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import (
    DatasetCard,
    Development,
    LabelledVolumes,
    SealedTest,
    TestSetError,
    describe,
    overlap,
    value_range,
)
from medpipe_core.testing.checking import (
    given,
    in_words,
    require,
)
from medpipe_core.testing.watching import global_seeds, global_state_kept

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = ("train", "validation", "test")


class DatasetContract:
    """What every dataset promises; inherit it, and say which dataset is meant.

    Attributes:
        dataset: The class or function, called as `dataset(**settings)`, or an import string.
        settings: Keyword arguments; choose few and small volumes.
        most_doubles: Volumes that may be in two parts at once, as in published data that nobody can
            change.

    Example:
        >>> class TestAcme(DatasetContract):
        ...     dataset = "acme.data:AcmeDataset"
        ...     settings = {"size": 8, "train": 12, "validation": 6, "test": 6}
    """

    dataset: Any = None
    settings: Mapping[str, Any] = {}
    most_doubles: int = 0

    def test_the_card_says_what_it_is(self) -> None:
        """The card names classes, channels, size, source and licence."""
        card = self.make().card
        require(
            isinstance(card, DatasetCard),
            f"the card is a {type(card).__name__}, not a medpipe_core.data.DatasetCard",
        )
        require(
            len(card.classes) >= 2 and len(set(card.classes)) == len(card.classes),
            f"the card names the classes {card.classes}; name at least two, each once",
        )
        whole = (card.channels, *card.size)
        require(
            all(type(number) is int and number > 0 for number in whole) and bool(card.size),
            f"the card says channels={card.channels!r}, size={card.size!r}; these are whole "
            "numbers above 0: depth, height and width in voxels",
        )
        empty = [n for n in ("name", "title", "source", "licence") if not getattr(card, n)]
        require(not empty, f"the card says nothing for {', '.join(empty)}")
        with in_words("the card cannot be written as JSON."):
            json.dumps(card.to_dict())

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

    def test_every_class_is_in_the_training_set(self) -> None:
        """There is something to learn of each class."""
        classes = self.make().card.classes
        there = set(self.parts()["train"].labels.tolist())
        absent = [name for label, name in enumerate(classes) if label not in there]
        require(
            not absent,
            f"train has no volume of {', '.join(absent)}. Split by class, or leave the class out",
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

    def test_no_patient_is_in_two_parts(self) -> None:
        """Where patients are known, each is in one part alone."""
        for (name, part), (other_name, other) in itertools.combinations(self.parts().items(), 2):
            if part.groups is None or other.groups is None:
                continue
            both = sorted(set(part.groups.tolist()) & set(other.groups.tolist()))
            require(
                not both,
                f"patients {both[:5]} are in {name} and in {other_name}. Split by patient, not by "
                "volume",
            )

    def test_it_is_the_same_every_time(self) -> None:
        """Two readings, and two datasets of the same settings, give the same bits."""
        dataset = self.make()
        readings = [dataset.development(), dataset.development(), self.make().development()]
        sealed = [made.sealed_test().open(after="a contract test") for made in (dataset, dataset)]
        remedy = "Derive everything from the settings, such as a seed, with a generator of its own"
        for name in ("train", "validation"):
            parts = [getattr(reading, name) for reading in readings]
            for other in parts[1:]:
                require(
                    _same_data(parts[0], other),
                    f"{name} is another one each time it is read. {remedy}, and keep nothing in "
                    "self that reading changes",
                )
        require(_same_data(*sealed), f"test is another one each time it is read. {remedy}")

    def test_the_test_set_is_sealed(self) -> None:
        """It comes closed, opens once, and stays closed while development data are read."""
        dataset = self.make()
        sealed = dataset.sealed_test()
        require(
            isinstance(sealed, SealedTest),
            f"sealed_test() gives a {type(sealed).__name__}; return SealedTest(read), with a "
            "function that reads the test set",
        )
        dataset.development()
        require(
            not sealed.opened,
            "the test set is open before anybody opened it. Hand SealedTest the function that "
            "reads, and do not call open",
        )
        data = sealed.open(after="a contract test")
        require(
            isinstance(data, LabelledVolumes),
            f"the test set opens to a {type(data).__name__}, not to LabelledVolumes",
        )
        try:
            sealed.open(after="a contract test")
        except TestSetError:
            return
        require(False, "the test set can be opened twice; do not override SealedTest.open")

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        """Global seeds do not matter, and the global generators stay where they were."""
        remedy = "Use np.random.default_rng(seed), with a seed from the settings"
        found = []
        for seed in (1, 2):
            with global_seeds(seed), global_state_kept("the dataset", remedy):
                found.append(self.parts())
        for name in _PARTS:
            require(
                _same_data(found[0][name], found[1][name]),
                f"{name} follows the global random seed. {remedy}",
            )

    # For tests of your own

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


def _same_data(one: LabelledVolumes, other: LabelledVolumes) -> bool:
    pairs = [(one.volumes, other.volumes), (one.labels, other.labels)]
    if one.groups is not None and other.groups is not None:
        pairs.append((one.groups, other.groups))
    return (one.groups is None) == (other.groups is None) and all(
        np.array_equal(a, b) for a, b in pairs
    )
