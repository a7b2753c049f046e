"""Labelled volumes as arrays, what a dataset says of itself, and what is odd about them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
    what would change by that is refused.

    Attributes:
        volumes: `(count, channel, *space)`, uint8 in [0, 255] or float32 in [0, 1].
        labels: `(count,)`, int64, from 0.
        groups: `(count,)`, the patient of each volume, a whole number or a text; or None where
            every volume is a patient.

    Raises:
        DataError: Shapes or types do not fit.
    """

    volumes: NDArray[Any]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        volumes = _volumes(np.asarray(self.volumes))
        labels = _labels(np.asarray(self.labels), len(volumes))
        groups = None if self.groups is None else _groups(self.groups, len(volumes))
        for name, array in (("volumes", volumes), ("labels", labels), ("groups", groups)):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> LabelledVolumes:
        """Return the volumes at some positions."""
        groups = None if self.groups is None else self.groups[indices]
        return LabelledVolumes(self.volumes[indices], self.labels[indices], groups)

    def join(self, other: LabelledVolumes) -> LabelledVolumes:
        """Return these volumes followed by others; patients are kept where both sides name them."""
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = np.concatenate((self.groups, other.groups))
        return LabelledVolumes(
            np.concatenate((self.volumes, other.volumes)),
            np.concatenate((self.labels, other.labels)),
            groups,
        )


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
    flat = data.volumes.reshape(len(data), -1)
    return [int(i) for i in np.flatnonzero((flat == flat[:, :1]).all(axis=1))]


def overlap(one: LabelledVolumes, other: LabelledVolumes) -> int:
    """Count the distinct volumes that are in both, voxel for voxel."""
    return len(_hashes(one) & _hashes(other))


def _hashes(data: LabelledVolumes) -> set[bytes]:
    return {hashlib.sha256(np.ascontiguousarray(v).tobytes()).digest() for v in data.volumes}
