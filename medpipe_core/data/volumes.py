"""Labelled volumes as arrays, what a dataset says of itself, and what is odd about them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.stored import StoredVolumes, parts
from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DataError(MedpipeError):
    """Data that cannot be used; the text names the file or array, and what to do."""


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
    """

    name: str
    title: str
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, ...]
    source: str
    licence: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class LabelledVolumes:
    """Volumes with their labels.

    Floating-point volumes of another width become float32, whole labels of another width int64;
    what would change by that is refused. A memory-mapped array, such as `numpy.load(path,
    mmap_mode="r")` gives, stays in its file, and so do subsets and unions of it.

    Attributes:
        volumes: `(count, channel, *space)`, uint8 in [0, 255] or float32 in [0, 1].
        labels: `(count,)`, int64, from 0.
        groups: `(count,)`, the patient of each volume, a whole number or a text; or None where
            every volume is a patient.

    Raises:
        DataError: Shapes or types do not fit.
    """

    volumes: NDArray[Any] | StoredVolumes
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        stored = _stored(self.volumes)
        volumes = _volumes(np.asarray(self.volumes)) if stored is None else stored
        labels = _labels(np.asarray(self.labels), len(volumes))
        groups = None if self.groups is None else _groups(self.groups, len(volumes))
        for name, array in (("volumes", volumes), ("labels", labels), ("groups", groups)):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> LabelledVolumes:
        """Return the volumes at some positions."""
        groups = None if self.groups is None else self.groups[indices]
        stored = isinstance(self.volumes, StoredVolumes)
        volumes = self.volumes.choose(indices) if stored else self.volumes[indices]
        return LabelledVolumes(volumes, self.labels[indices], groups)

    def join(self, other: LabelledVolumes) -> LabelledVolumes:
        """Return these volumes followed by others; patients are kept where both sides name them."""
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = np.concatenate((self.groups, other.groups))
        labels = np.concatenate((self.labels, other.labels))
        return LabelledVolumes(_joined(self.volumes, other.volumes), labels, groups)


def _stored(volumes: object) -> StoredVolumes | None:
    """Return volumes that stay in their files as what they are; None for those in memory."""
    if isinstance(volumes, np.memmap):
        if _volumes(volumes[:0]).dtype != volumes.dtype:
            raise DataError(
                f"memory-mapped volumes of {volumes.dtype} cannot stay in their file; save them as "
                "uint8 or float32, or read them into memory"
            )
        return StoredVolumes([volumes])
    return volumes if isinstance(volumes, StoredVolumes) else None


def _joined(
    one: NDArray[Any] | StoredVolumes, other: NDArray[Any] | StoredVolumes
) -> NDArray[Any] | StoredVolumes:
    """Return volumes followed by others, read only where they are of different types."""
    if not isinstance(one, StoredVolumes) and not isinstance(other, StoredVolumes):
        return np.concatenate((one, other))
    if one.dtype != other.dtype:
        return np.concatenate((one[:], other[:]))
    whole, rest = (v if isinstance(v, StoredVolumes) else StoredVolumes([v]) for v in (one, other))
    return whole.followed_by(rest)


def _volumes(volumes: NDArray[Any]) -> NDArray[Any]:
    floating = volumes.dtype.kind == "f"
    if volumes.ndim < 3 or not (floating or volumes.dtype == np.uint8):
        raise DataError(
            "volumes must be (count, channel, *space) of uint8, 0 to 255, or floating-point in "
            f"[0, 1], but are {volumes.shape} of {volumes.dtype}. A set without a channel axis "
            "gets one by volumes[:, None]; other intensities have to be scaled"
        )
    return volumes.astype(np.float32, copy=False) if floating else volumes


def _labels(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.shape != (count,) or labels.dtype.kind not in "iub":
        raise DataError(
            f"labels must be ({count},) of whole numbers, but are {labels.shape} of {labels.dtype}"
        )
    if len(labels) and labels.min() < 0:
        raise DataError(f"labels count from 0, but the least is {labels.min()}")
    return labels.astype(np.int64, copy=False)


def _groups(groups: Any, count: int) -> NDArray[Any]:
    array = np.asarray(groups)
    if array.dtype.kind == "O" and len({type(name) for name in array.ravel()}) == 1:
        array = np.array(array.tolist())  # of texts, as tables have them
    if array.shape != (count,) or array.dtype.kind not in "iuUS":
        raise DataError(
            f"groups must be ({count},) of whole numbers or texts, one patient for each volume, "
            f"but are {array.shape} of {array.dtype}"
        )
    return array


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
    """Count the distinct volumes that are in both, voxel for voxel."""
    return len(_hashes(one) & _hashes(other))


def _hashes(data: LabelledVolumes) -> set[bytes]:
    return {hashlib.sha256(np.ascontiguousarray(v).tobytes()).digest() for v in data.volumes}
