"""The six MedMNIST3D datasets from their published npz files (MedMNIST v2, CC BY 4.0).

Facts from the `medmnist` package, version 3.0.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import (
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
    SealedTest,
    blank,
    data_folder,
)
from medpipe_plugins.datasets.download import fetch, md5_of
from medpipe_plugins.datasets.npz import read_member
from medpipe_plugins.datasets.settings import PUBLISHED_AT, MedMNISTSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Facts:
    """What is published about one dataset.

    Attributes:
        title: Its name.
        classes: Names of the classes, by label.
        counts: Volumes in train, val and test.
        md5: Edge length → MD5 of the file.
        notes: What a reader of results should know.
    """

    title: str
    classes: tuple[str, ...]
    counts: tuple[int, int, int]
    md5: Mapping[int, str]
    notes: tuple[str, ...] = ()


FACTS: Mapping[str, Facts] = MappingProxyType(
    {
        "organmnist3d": Facts(
            "OrganMNIST3D: abdominal CT, body organs",
            (
                "liver",
                "kidney-right",
                "kidney-left",
                "femur-right",
                "femur-left",
                "bladder",
                "heart",
                "lung-right",
                "lung-left",
                "spleen",
                "pancreas",
            ),
            (971, 161, 610),
            {28: "a0c5a1ff56af4f155c46d46fbb45a2fe", 64: "58a2205adf14a9d0a189cb06dc78bf10"},
            ("Labels have sides: a flip turns a left kidney into a right one.",),
        ),
        "nodulemnist3d": Facts(
            "NoduleMNIST3D: chest CT, lung nodules",
            ("benign", "malignant"),
            (1158, 165, 310),
            {28: "8755a7e9e05a4d9ce80a24c3e7a256f3", 64: "c47c5b7d457bf6332200d2ea6d64ecd8"},
            (
                "An earlier file with 526 test volumes, about 150 of them blank, was withdrawn; "
                "figures on it, such as the paper's, do not compare.",
            ),
        ),
        "fracturemnist3d": Facts(
            "FractureMNIST3D: chest CT, rib fractures",
            ("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture"),
            (1027, 103, 240),
            {28: "6aa7b0143a6b42da40027a9dda61302f", 64: "f01d7e6316aedf4210da0da5b7437b42"},
        ),
        "adrenalmnist3d": Facts(
            "AdrenalMNIST3D: shape masks of adrenal glands from abdominal CT",
            ("normal", "hyperplasia"),
            (1188, 98, 298),
            {28: "bbd3c5a5576322bc4cdfea780653b1ce", 64: "17721accfe9fb005146a47d33bc54b2f"},
            ("1,584 glands of 792 patients; which two belong together is not published.",),
        ),
        "vesselmnist3d": Facts(
            "VesselMNIST3D: shapes of brain vessels from MRA",
            ("vessel", "aneurysm"),
            (1335, 191, 382),
            {28: "b41fd4f7e7e2feedddb201585ecafa1b", 64: "6bb274a8846e1097066dcd64e2c4520f"},
        ),
        "synapsemnist3d": Facts(
            "SynapseMNIST3D: electron microscopy of synapses",
            ("inhibitory synapse", "excitatory synapse"),
            (1230, 177, 352),
            {28: "1235b78a3cd6280881dd7850a78eadb6", 64: "43bd14ebf3af9d3dd072446fedc14d5e"},
        ),
    }
)


class MedMNIST3D:
    """One of the datasets; the file is checked on first use.

    Args:
        name: Its name, such as `adrenalmnist3d`.
        facts: What is published about it.
        settings: Fields of `MedMNISTSettings`.
    """

    def __init__(self, name: str, facts: Facts, settings: MedMNISTSettings) -> None:
        self._name = name
        self._facts = facts
        self._settings = settings
        self._checked = False

    @property
    def path(self) -> Path:
        """Where the file is expected."""
        suffix = "" if self._settings.size == 28 else f"_{self._settings.size}"
        return data_folder(self._settings.root) / f"{self._name}{suffix}.npz"

    @property
    def card(self) -> DatasetCard:
        """What it says of itself."""
        return DatasetCard(
            name=self._name,
            title=self._facts.title,
            classes=self._facts.classes,
            channels=1,
            size=(self._settings.size,) * 3,
            source=f"MedMNIST v2, {PUBLISHED_AT}",
            licence="CC BY 4.0",
            notes=self._facts.notes,
        )

    def development(self) -> Development:
        """Read the training and validation sets.

        Blank training and validation volumes are left out, which a note says; with `strict` they
        are refused.

        Raises:
            DataError: The file is missing, is not the published one, or has blank volumes while
                `strict` is set.
        """
        self._check_file()
        notes: list[str] = []
        train, validation = self._read("train", notes), self._read("val", notes)
        return Development(train, validation, tuple(notes))

    def sealed_test(self) -> SealedTest:
        """Return the test set, read when it is opened; blank volumes stay in it."""

        def read() -> LabelledVolumes:
            self._check_file()
            return self._arrays("test")

        outline = Outline((self.card.channels, *self.card.size), np.uint8, np.int64)
        return SealedTest(read, outline=outline)

    def _read(self, part: str, notes: list[str]) -> LabelledVolumes:
        data = self._arrays(part)
        empty = blank(data)
        if not empty:
            return data
        text = f"{len(empty)} of {len(data)} volumes of {part} are blank: {empty[:10]}"
        if self._settings.strict:
            raise DataError(f"{self.path}: {text}; without data.strict they are left out")
        notes.append(f"{text}; they were left out")
        return data.take(np.setdiff1d(np.arange(len(data)), empty))

    def _arrays(self, part: str) -> LabelledVolumes:
        count = self._facts.counts[("train", "val", "test").index(part)]
        edge = self._settings.size
        volumes = read_member(self.path, f"{part}_images", (count, edge, edge, edge))
        labels = read_member(self.path, f"{part}_labels", (count, 1))[:, 0].astype(np.int64)
        if labels.max() >= len(self._facts.classes):
            raise DataError(
                f"{self.path}: {part}_labels has label {labels.max()}, but {self._name} has "
                f"{len(self._facts.classes)} classes"
            )
        return LabelledVolumes(volumes[:, None], labels)

    def _check_file(self) -> None:
        if self._checked:
            return
        expected = self._facts.md5[self._settings.size]
        url = f"{self._settings.url}/{self.path.name}"
        if not self.path.is_file():
            if not self._settings.download:
                raise DataError(
                    f"{self._name} needs the file {self.path}, which is not there. Fetch {url} and "
                    f"put it at {self.path}, point data.root at the folder that has "
                    f"{self.path.name}, or give data.download=true on a machine with internet "
                    "access"
                )
            fetch(url, self.path, expected)
        found = md5_of(self.path)
        if found != expected:
            raise DataError(
                f"{self.path} is not the published file: its MD5 is {found}, published is "
                f"{expected}. Move it away and fetch {url}"
            )
        self._checked = True


def open_medmnist3d(name: str, **settings: object) -> MedMNIST3D:
    """Open one of the six datasets.

    Args:
        name: Its name, such as `adrenalmnist3d`.
        settings: Fields of `MedMNISTSettings`.
    """
    return MedMNIST3D(name, FACTS[name], MedMNISTSettings(**settings))


organmnist3d = partial(open_medmnist3d, "organmnist3d")
nodulemnist3d = partial(open_medmnist3d, "nodulemnist3d")
fracturemnist3d = partial(open_medmnist3d, "fracturemnist3d")
adrenalmnist3d = partial(open_medmnist3d, "adrenalmnist3d")
vesselmnist3d = partial(open_medmnist3d, "vesselmnist3d")
synapsemnist3d = partial(open_medmnist3d, "synapsemnist3d")
