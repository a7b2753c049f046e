"""What every dataset promises."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from medpipe_core.data import DatasetCard, LabelledVolumes, Outline, SealedTest, TestSetError
from medpipe_core.plugins.parameters import keywords_of
from medpipe_core.testing.checking import given, in_words, require
from medpipe_core.testing.dataset_labels import LabelsContract
from medpipe_core.testing.dataset_parts import PARTS
from medpipe_core.testing.elsewhere import elsewhere
from medpipe_core.testing.held import arrays_held
from medpipe_core.testing.watching import global_seeds, global_state_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray


class DatasetContract(LabelsContract):
    """What every dataset promises; inherit it, and say which dataset is meant.

    Attributes:
        dataset: The class or function, called as `dataset(**settings)`, or an import string.
        settings: Keyword arguments; choose few and small volumes.
        most_doubles: Volumes that may be in two parts at once, as in published data that nobody can
            change.
        absent: Classes that validation or test may lack, as in published data.

    Example:
        >>> class TestAcme(DatasetContract):
        ...     dataset = "acme.data:AcmeDataset"
        ...     settings = {"size": 8, "train": 12, "validation": 6, "test": 6}
    """

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

    def test_the_seed_decides(self) -> None:
        """With another seed among the settings it is another dataset, or another split."""
        known = self.dataset is not None and keywords_of(given(self, "dataset"))
        if "seed" not in self.settings and not (known and "seed" in known):
            pytest.skip("it has no setting named seed")
        one, other = (
            self.varied(settings={**self.settings, "seed": seed}).parts() for seed in (3, 4)
        )
        require(
            any(not _same_data(one[name], other[name]) for name in PARTS),
            "the dataset is the same whatever its setting `seed` is. Make the generator of volumes "
            "or of the split from it, or leave the setting out",
        )

    def test_the_test_set_is_sealed(self) -> None:
        """It comes closed, opens once, and stays closed while development data are read."""
        dataset = self.make()
        sealed = dataset.sealed_test()
        require(
            isinstance(sealed, SealedTest),
            f"sealed_test() gives a {type(sealed).__name__}; return SealedTest(read), with a "
            "function that reads the test set",
        )
        development = dataset.development()
        size = math.prod((dataset.card.channels, *dataset.card.size))
        ordinary = {
            voxels
            for part in (development.train, development.validation)
            for voxels in _rows(np.asarray(part.volumes), size)
        }
        del development
        require(
            not sealed.opened,
            "the test set is open before anybody opened it. Hand SealedTest the function that "
            "reads, and do not call open",
        )
        held = {voxels for array in arrays_held(dataset, sealed) for voxels in _rows(array, size)}
        data = sealed.open(after="a contract test")
        require(
            isinstance(data, LabelledVolumes),
            f"the test set opens to a {type(data).__name__}, not to LabelledVolumes",
        )
        early = held.intersection(_rows(np.asarray(data.volumes), size)) - ordinary
        require(
            not early,
            f"{len(early)} volumes of the test set are in memory before it is opened: the dataset "
            "has read them already. Read them within the function that SealedTest is handed, and "
            "nowhere else",
        )
        if sealed.outline is not None:
            require(
                sealed.outline == Outline.of(data),
                f"the test set is {Outline.of(data)}, but its outline says {sealed.outline}. "
                "Derive it from headers, or leave it out",
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
        for name in PARTS:
            require(
                _same_data(found[0][name], found[1][name]),
                f"{name} follows the global random seed. {remedy}",
            )

    def test_it_is_the_same_in_another_process(self) -> None:
        """Processes with other hash seeds read the same volumes, labels, patients and card."""
        expected = self._read_out(None)
        for found in elsewhere(self, "_read_out", hash_seeds=(1, 77)):
            differing = [what for what in expected if found.get(what) != expected[what]]
            require(
                not differing,
                f"the dataset has other {', '.join(differing)} in another process. Let neither a "
                "split nor an order depend on a set or on hash(), which follow PYTHONHASHSEED: "
                "sort, and draw from np.random.default_rng(seed)",
            )

    def _read_out(self, _: None) -> dict[str, str]:
        """Return what identifies the card and each part."""
        read = {"card": json.dumps(self.make().card.to_dict(), sort_keys=True, default=str)}
        for name, part in self.parts().items():
            for what in ("volumes", "labels", "groups", "cases"):
                array = getattr(part, what)
                found = b"" if array is None else np.ascontiguousarray(array[:]).tobytes()
                read[f"{what} of {name}"] = hashlib.sha256(found).hexdigest()
        return read


def _rows(array: NDArray[Any], size: int) -> Iterator[bytes]:
    """Iterate over what identifies the volumes of so many voxels that an array may be."""
    if not array.size or array.size % size or array.dtype.kind not in "biuf":
        return
    for row in array.reshape(-1, size):
        yield hashlib.sha256(np.ascontiguousarray(row, np.float64).tobytes()).digest()


def _same_data(one: LabelledVolumes, other: LabelledVolumes) -> bool:
    pairs = [(one.volumes, other.volumes), (one.labels, other.labels)]
    for what in ("groups", "cases"):
        had, has = getattr(one, what), getattr(other, what)
        if (had is None) != (has is None):
            return False
        if had is not None:
            pairs.append((had, has))
    return all(np.array_equal(a, b) for a, b in pairs)
