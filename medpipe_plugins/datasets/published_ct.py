"""Three published sets of chest CT, as their authors lay them out, at the paper's sizes."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from medpipe_core.data import DataError, DatasetCard
from medpipe_plugins.datasets.folder import FolderDataset
from medpipe_plugins.datasets.folder_manifest import PARTS, Case
from medpipe_plugins.datasets.folder_settings import ScanSetSettings
from medpipe_plugins.datasets.folder_survey import patients_in_two_parts
from medpipe_plugins.datasets.published_ct_lists import (
    PublishedList,
    as_case,
    list_file,
    read_list,
    scans_in_folders,
)
from medpipe_plugins.datasets.published_ct_settings import (
    CCCCIISettings,
    COVIDCTsetSettings,
    MosMedSettings,
    PublishedCTSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core import Registry

Counts = dict[str, dict[str, tuple[int, int]]]
"""Part → class → patients and scans."""


@dataclass(frozen=True)
class Published:
    """What is known of a set.

    Attributes:
        name: Registered name.
        title: Name in full.
        source: Where it is published.
        licence: Under which licence.
        images: Folder of the images, within the set's folder.
        labels: Folder of a class → name of the class; the order of names is that of classes.
        flat: Whether a class's folder holds scans as files.
        steps: From a scan to intensities in [0, 1], before slices are sampled.
        counts: Table III of the paper: part → class → patients and scans.
        notes: What a reader of results should know.
    """

    name: str
    title: str
    source: str
    licence: str
    images: str
    labels: Mapping[str, str]
    flat: bool
    steps: Sequence[dict[str, Any]]
    counts: Counts
    notes: tuple[str, ...]


class PublishedCT(FolderDataset):
    """A published set of CT scans, read as scans of one's own are, split as its authors say.

    Training scans have slices drawn at random in their order, once for each scan; others have them
    at equal distances about the middle (paper, section IV-A2).

    Args:
        registry: Who knows readers and preparations; every installed plugin by default.
        settings: Fields of the set's settings.
    """

    published: ClassVar[Published]
    takes: ClassVar[type[PublishedCTSettings]]
    _published = True

    def __init__(self, *, registry: Registry | None = None, **settings: Any) -> None:
        self.asked = self.takes(**settings)
        chain = published_chain(self.published.steps, self.asked.size)
        super().__init__(
            registry=registry,
            prepare=chain if isinstance(self.asked.prepare, str) else self.asked.prepare,
            classes=tuple(dict.fromkeys(self.published.labels.values())),
            **{key: getattr(self.asked, key) for key in ScanSetSettings.model_fields},
        )

    @cached_property
    def card(self) -> DatasetCard:
        """What it says of itself: where it comes from, what its lists hold, and known traps."""
        known = self.published
        return replace(
            super().card,
            name=known.name,
            title=known.title,
            source=known.source,
            licence=known.licence,
            notes=(*self._list_notes, *known.notes, *super().card.notes),
        )

    def _cases(self) -> list[Case]:
        """Return the scans of the lists; a patient in two lists is refused before any is read.

        Raises:
            DataError: A list cannot be read, names a class that the set has not, or shares patients
                with another.
        """
        known = self.published
        listed = self._listed
        unknown = {s.label for one in listed.values() for s in one.scans} - set(known.labels)
        if unknown:
            raise DataError(
                f"the lists name classes {', '.join(sorted(unknown))}, but those of {known.title} "
                f"are {', '.join(known.labels)}"
            )
        cases = [
            as_case(scan, self._images, known.labels[scan.label], part, flat=known.flat)
            for part, one in listed.items()
            for scan in one.scans
        ]
        leaks = patients_in_two_parts(cases)
        if leaks:
            raise DataError("; ".join(leaks))
        return cases

    @cached_property
    def _listed(self) -> dict[str, PublishedList]:
        """Part → its list; under the empty text where the split is still to be made."""
        asked = self.asked
        if asked.split == "own":
            scans = scans_in_folders(self._images, self.published.labels, flat=self.published.flat)
            return {"": scans}
        names = dict(
            zip(PARTS, (asked.train_list, asked.validation_list, asked.test_list), strict=True)
        )
        return {
            part: read_list(list_file(self._root, name)) for part, name in names.items() if name
        }

    @property
    def _root(self) -> Path:
        if self.asked.root is None:
            raise DataError(
                f"say where {self.published.title} is: data.root=FOLDER names the folder that has "
                f"{self.published.images} and the lists"
            )
        root = Path(self.asked.root).expanduser()
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; data.root names that of the set")
        return root

    @property
    def _images(self) -> Path:
        inner = self._root / self.published.images
        return inner if inner.is_dir() else self._root

    @cached_property
    def _list_notes(self) -> tuple[str, ...]:
        return tuple(
            note
            for part, one in self._listed.items()
            for note in _list_notes(part, one, self.published)
        )


def published_chain(steps: Sequence[dict[str, Any]], size: Sequence[int]) -> list[dict[str, Any]]:
    """Return a chain with a resize, and slices sampled as the paper does.

    What comes before the slices is done once, so that an epoch has little to repeat.

    Args:
        steps: What comes before.
        size: Slices, height and width that it ends in.
    """
    resize = {"name": "resize", "parameters": {"size": [None, *size[1:]]}}
    slices = {"name": "slices", "parameters": {"count": size[0]}, "training": {"how": "random"}}
    return [*steps, resize, slices]


def counted(one: PublishedList, labels: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return class → patients, those without scans among them, and scans."""
    patients: dict[str, set[str]] = {}
    for label, patient in (*one.empty, *((scan.label, scan.patient) for scan in one.scans)):
        patients.setdefault(labels[label], set()).add(patient)
    count = Counter(labels[scan.label] for scan in one.scans)
    return {label: (len(who), count[label]) for label, who in patients.items()}


def _list_notes(part: str, one: PublishedList, known: Published) -> Iterator[str]:
    what = f"{part} list" if part else "folder"
    scans, found = one.scans, counted(one, known.labels)
    told = ", ".join(f"{label} {p} patients with {n} scans" for label, (p, n) in found.items())
    expected = known.counts.get(part, {})
    same = found == expected
    other = ", ".join(f"{label} {p} with {n}" for label, (p, n) in expected.items())
    beside = " as in the paper's Table III" if same else f"; the paper's Table III has {other}"
    yield f"The {what}: {told}{beside if expected else ''}."
    if one.empty:
        yield (
            f"In the {what} {len(one.empty)} of these patients have no scan: "
            f"{', '.join(patient for _, patient in one.empty[:5])}."
        )
    doubled = [scan for scan in scans if scan.doubles]
    if doubled:
        twice = sum(scan.doubles == len(scan.files) for scan in doubled)
        yield (
            f"In the {what} {len(doubled)} of {len(scans)} scans name slices more than once "
            f"({twice} name every slice twice); each slice counts once."
        )
    turned = sum(list(scan.files) != sorted(scan.files) for scan in scans)
    if turned:
        yield (
            f"In the {what} the slices of {turned} scans do not follow their names; the order of "
            "the list is used."
        )
    missing = [label for label in known.labels if label not in {s.label for s in scans}]
    if missing and part:
        yield f"The {what} has no scan of {', '.join(missing)}."
    if not known.flat and all(scan.files for scan in scans):
        lengths: dict[str, list[int]] = {}
        for scan in scans:
            lengths.setdefault(known.labels[scan.label], []).append(len(scan.files))
        medians = ", ".join(f"{k} {statistics.median(v):g}" for k, v in lengths.items())
        yield f"Slices of a scan in the {what}, median: {medians}."


_LUNG: tuple[dict[str, Any], ...] = (
    {"name": "fill"},
    {"name": "orient"},
    {"name": "window", "parameters": {"low": -1350.0, "high": 150.0}},
)


class CCCCII(PublishedCT):
    """Clean-CC-CCII: common pneumonia, COVID-19 pneumonia and normal, as 8-bit PNG slices."""

    takes = CCCCIISettings
    published = Published(
        name="cc-ccii",
        title="Clean-CC-CCII",
        source="http://ncov-ai.big.ac.cn/download, cleaned by He et al. (2021)",
        licence="that of its publishers",
        images="dataset_cleaned",
        labels={"Normal": "Normal", "CP": "CP", "NCP": "NCP"},
        flat=False,
        steps=[{"name": "window", "parameters": {"low": 0.0, "high": 255.0}}],
        counts={
            "train": {"NCP": (726, 1213), "CP": (778, 1210), "Normal": (660, 772)},
            "test": {"NCP": (190, 302), "CP": (186, 303), "Normal": (158, 193)},
        },
        notes=(
            "A patient may have several scans; intervals draw patients, not scans.",
            "Slices are windowed pictures of 8 bits: Hounsfield units and spacing are lost.",
        ),
    )


class MosMed(PublishedCT):
    """MosMedData: CT-0 is normal, CT-1 to CT-4 are COVID-19 of rising extent, as NIfTI."""

    takes = MosMedSettings
    published = Published(
        name="mosmed",
        title="MosMedData",
        source="https://mosmed.ai/datasets/covid19_1110, Morozov et al. (2020)",
        licence="CC BY-NC-ND 3.0: no commercial use, no derivatives",
        images="studies",
        labels={"CT-0": "Normal", **{f"CT-{n}": "NCP" for n in range(1, 5)}},
        flat=True,
        steps=_LUNG,
        counts={
            "train": {"NCP": (601, 601), "Normal": (178, 178)},
            "test": {"NCP": (255, 255), "Normal": (76, 76)},
        },
        notes=(
            "CT-0 is Normal, CT-1 to CT-4 are NCP; always answering NCP scores .770 on the "
            "published test list.",
            "Patients are not published: every study counts as a patient.",
            "Two splits of it are in use, nii_*.json and nii_png_*.json: 237 of the 331 test "
            "studies of one are training studies of the other. Figures of one do not compare with "
            "those of the other, and a network of one must not be tested on the other.",
        ),
    )


class COVIDCTset(PublishedCT):
    """COVID-CTset: COVID-19 and normal, as 16-bit TIFF slices."""

    takes = COVIDCTsetSettings
    published = Published(
        name="covid-ctset",
        title="COVID-CTset",
        source="https://github.com/mr7495/COVID-CTset, Rahimzadeh et al. (2021)",
        licence="that of its publishers",
        images="COVID-CTset",
        labels={"normal": "Normal", "covid": "NCP"},
        flat=False,
        steps=[{"name": "percentile-window"}],
        counts={
            "train": {"NCP": (80, 202), "Normal": (200, 200)},
            "test": {"NCP": (15, 42), "Normal": (82, 82)},
        },
        notes=(
            "NCP scans are slices that were picked by hand, of up to three series of a patient; "
            "Normal scans are whole, and one series of a patient. The number of slices alone "
            "tells the classes apart, and so may whatever follows from it.",
            "Of the authors' five folds (train1.json and so on) validation and test share "
            "patients, which is refused, and their test scans are largely training scans of "
            "train_balance.json.",
            "Intensities are stored without their scale: each scan is brought to [0, 1] by its own "
            "percentiles.",
        ),
    )
