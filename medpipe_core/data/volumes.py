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

    Attributes:
        volumes: `(count, channel, *space)`, uint8 in [0, 255] or float32 in [0, 1].
        labels: `(count,)`, int64, from 0.
        groups: `(count,)` patient of each volume, or None where every volume is a patient.

    Raises:
        DataError: Shapes or types do not fit.
    """

    volumes: NDArray[Any]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.volumes.ndim < 3 or self.volumes.dtype not in (np.uint8, np.float32):
            raise DataError(
                "volumes must be (count, channel, *space) of uint8 or float32, but are "
                f"{self.volumes.shape} of {self.volumes.dtype}"
            )
        if self.labels.shape != (len(self.volumes),) or self.labels.dtype != np.int64:
            raise DataError(
                f"labels must be ({len(self.volumes)},) of int64, but are {self.labels.shape} of "
                f"{self.labels.dtype}"
            )
        if len(self.labels) and self.labels.min() < 0:
            raise DataError(f"labels count from 0, but the least is {self.labels.min()}")
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise DataError(f"groups must be {self.labels.shape}, but are {self.groups.shape}")

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
