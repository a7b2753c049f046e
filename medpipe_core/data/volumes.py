"""Labelled volumes as arrays, what a dataset says of itself, and what is odd about them."""

from __future__ import annotations

import contextlib
import hashlib
import operator
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.arrays import (
    as_cases,
    as_facts,
    as_labels,
    as_patients,
    as_volumes,
    in_type,
    joined_facts,
    together,
)
from medpipe_core.data.stored import StoredVolumes, parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class DatasetCard:
    """What a dataset says of itself.

    Attributes:
        name: Registered name.
        title: Name in full.
        classes: Names of the classes; label k is `classes[k]`.
        channels: Channels of a volume.
        size: Depth, height and width of a volume, in voxels.
        source: Where it comes from.
        licence: Under which licence.
        notes: What a reader of results should know.
        spacing: Millimetres between voxels along depth, height and width, as they mostly are;
            None where that is not known, and voxels count as cubes. Augmentations that turn volumes
            go by it.

    Whole numbers of numpy and lists become what `to_dict` can hand to JSON.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, ...]
    source: str
    licence: str
    notes: tuple[str, ...] = ()
    spacing: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        # What cannot be had so stays, for `check_card` to name it.
        with contextlib.suppress(TypeError):
            object.__setattr__(self, "channels", operator.index(self.channels))
        with contextlib.suppress(TypeError):
            object.__setattr__(self, "size", tuple(map(operator.index, self.size)))
        with contextlib.suppress(TypeError, ValueError):
            if self.spacing is not None:
                object.__setattr__(self, "spacing", tuple(map(float, self.spacing)))
        if isinstance(self.classes, Iterable) and not isinstance(self.classes, str):
            object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        object.__setattr__(self, "notes", as_notes(self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; without the spacing where that is not known."""
        content = asdict(self)
        if self.spacing is None:
            del content["spacing"]
        return content


@dataclass(frozen=True)
class LabelledVolumes:
    """Volumes with their labels.

    What numpy allows and torch does not is made right: other byte orders, negative strides, memory
    that must not be written. Floating-point volumes of another width become float32, booleans uint8
    with True at 255, whole labels of another width int64; other types are refused. A memory-mapped
    array, such as `numpy.load(path, mmap_mode="r")` gives, stays in its file, and so do subsets and
    unions of it.

    Attributes:
        volumes: `(count, channel, *space)`, uint8 in [0, 255] or float32 in [0, 1].
        labels: `(count,)`, int64, from 0; `(count, 1)` is taken too.
        groups: `(count,)`, the patient of each volume, a whole number or a text; or None where
            every volume is a patient. 1 and "1" are the same patient.
        cases: `(count,)`, texts: how predictions name each volume; or None, which names them by
            their position.
        facts: What is known of each scan besides its voxels, such as its number of slices: name →
            `(count,)`, numbers (NaN where unknown) or texts; or None. A run tells whether they
            predict the label.

    Raises:
        DataError: Shapes or types do not fit.
    """

    volumes: NDArray[Any] | StoredVolumes
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None
    cases: NDArray[Any] | None = None
    facts: Mapping[str, NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        volumes = _in_form(self.volumes)
        labels = as_labels(self.labels, len(volumes))
        groups = None if self.groups is None else as_patients(self.groups, len(volumes))
        cases = None if self.cases is None else as_cases(self.cases, len(volumes))
        facts = None if self.facts is None else as_facts(self.facts, len(volumes))
        named = {"volumes": volumes, "labels": labels, "groups": groups, "cases": cases}
        object.__setattr__(self, "facts", facts)
        for name, array in named.items():
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> LabelledVolumes:
        """Return the volumes at some positions."""
        groups = None if self.groups is None else self.groups[indices]
        cases = None if self.cases is None else self.cases[indices]
        facts = None
        if self.facts is not None:
            facts = {name: values[indices] for name, values in self.facts.items()}
        stored = isinstance(self.volumes, StoredVolumes)
        volumes = self.volumes.choose(indices) if stored else self.volumes[indices]
        return LabelledVolumes(volumes, self.labels[indices], groups, cases, facts)

    def fixed(self) -> LabelledVolumes:
        """Return the volumes as they are judged, where a training would draw them anew."""
        if not isinstance(self.volumes, StoredVolumes) or not self.volumes.varies:
            return self
        return replace(self, volumes=self.volumes.fixed())

    def join(self, other: LabelledVolumes) -> LabelledVolumes:
        """Return these volumes followed by others, all of one type and scale.

        Where the sides differ, uint8 becomes float32 in [0, 1]. Patients and cases are kept
        where both sides name them.
        """
        groups = cases = None
        if self.groups is not None and other.groups is not None:
            groups = together(self.groups, other.groups)
        if self.cases is not None and other.cases is not None:
            cases = np.concatenate((self.cases, other.cases))
        labels = np.concatenate((self.labels, other.labels))
        facts = joined_facts(self.facts, other.facts)
        return LabelledVolumes(_joined(self.volumes, other.volumes), labels, groups, cases, facts)


def as_notes(notes: Any) -> tuple[str, ...]:
    """Return notes as texts; one text is one note."""
    return (notes,) if isinstance(notes, str) else tuple(map(str, notes))


def _in_form(volumes: Any) -> NDArray[Any] | StoredVolumes:
    """Return an array as it should be; what stays in its file is read when it is asked for."""
    if isinstance(volumes, StoredVolumes):
        return volumes
    return StoredVolumes([volumes]) if isinstance(volumes, np.memmap) else as_volumes(volumes)


def _joined(
    one: NDArray[Any] | StoredVolumes, other: NDArray[Any] | StoredVolumes
) -> NDArray[Any] | StoredVolumes:
    """Return volumes followed by others; where a side stays in its file, both are stored."""
    if isinstance(one, StoredVolumes) or isinstance(other, StoredVolumes):
        whole, rest = (
            v if isinstance(v, StoredVolumes) else StoredVolumes([v]) for v in (one, other)
        )
        return whole.followed_by(rest)
    dtype = np.promote_types(one.dtype, other.dtype)
    return np.concatenate((in_type(one, dtype), in_type(other, dtype)))


def describe(data: LabelledVolumes, classes: Sequence[str]) -> dict[str, Any]:
    """Return counts worth knowing: per class, majority share, blank volumes, doubles."""
    counts = np.bincount(data.labels, minlength=len(classes))
    return {
        "count": len(data),
        "per_class": {name: int(n) for name, n in zip(classes, counts, strict=True)},
        "majority_share": float(counts.max() / max(len(data), 1)),
        "blank": len(blank(data)),
        "doubles": len(data) - len(_hashes(data)),
    }


def blank(data: LabelledVolumes) -> list[int]:
    """Return the positions of volumes whose voxels all have one value."""
    flat = (part.reshape(len(part), -1) for part in parts(data.volumes))
    found = [(rows == rows[:, :1]).all(axis=1) for rows in flat]
    return np.flatnonzero(np.concatenate(found)).tolist() if found else []


def overlap(one: LabelledVolumes, other: LabelledVolumes) -> int:
    """Count the distinct volumes that are in both, voxel for voxel, in whichever type."""
    dtype = np.promote_types(one.volumes.dtype, other.volumes.dtype)
    return len(_hashes(one, dtype) & _hashes(other, dtype))


def _hashes(data: LabelledVolumes, dtype: np.dtype[Any] | None = None) -> set[bytes]:
    dtype = data.volumes.dtype if dtype is None else dtype
    return {hashlib.sha256(in_type(v, dtype).tobytes()).digest() for v in data.volumes}
