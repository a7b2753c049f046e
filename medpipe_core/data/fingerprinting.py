"""Fingerprints of volumes: near-doubles are found although no voxel is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data.stored import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from medpipe_core.data.volumes import LabelledVolumes

NEAR = 0.2
"""Distance below which two volumes are near-doubles; see `near_doubles`."""

_EDGE = 12
_LEAST_STEP = 0.02  # of a volume's range; smaller differences between neighbours say nothing
_BLOCK = 2**24  # bytes compared at once


def fingerprints(data: LabelledVolumes) -> NDArray[np.uint8]:
    """Return a fingerprint of each volume: in which direction it becomes brighter, place by place.

    A volume is averaged over its channels and to 12 voxels an axis at most; a pair of bits for each
    pair of neighbours along each axis says whether the second is brighter or darker than the first
    by at least a fiftieth of the range. It is the difference hash of pictures in three dimensions,
    and does not change with window, noise, compression or a resampling of the same volume.

    Returns:
        `(count, bytes)`.
    """
    import torch
    import torch.nn.functional as F

    found = []
    for part in parts(data.volumes):
        whole = torch.from_numpy(np.ascontiguousarray(part)).float().mean(1)
        size = [min(_EDGE, length) for length in whole.shape[1:]]
        small = F.interpolate(whole[:, None], size, mode="area")[:, 0].numpy()
        found.append(np.packbits(_steps(small), axis=1))
    return np.concatenate(found) if found else np.empty((0, 0), np.uint8)


def near_doubles(
    one: NDArray[np.uint8], other: NDArray[np.uint8] | None = None, *, below: float = NEAR
) -> Iterator[tuple[int, int, float]]:
    """Iterate over pairs that are near-doubles.

    The distance of two fingerprints is the share of the bits set in either that are set in one
    alone: 0 for the same picture, about two thirds for unlike ones. Volumes without a step, such as
    blank ones, are near nothing.

    Args:
        one: Fingerprints.
        other: Others that they are compared with; None for each other.
        below: Distance from which a pair is no near-double.

    Returns:
        Position in `one`, position in `other`, distance.
    """
    against = one if other is None else other
    if not (len(one) and len(against)):
        return
    rows = max(_BLOCK // max(against.size, 1), 1)
    for start in range(0, len(one), rows):
        block = one[start : start + rows, None]
        either = np.bitwise_count(block | against).sum(2, dtype=np.int64)
        unlike = np.bitwise_count(block ^ against).sum(2, dtype=np.int64)
        near = (either > 0) & (unlike < below * either)
        for row, column in np.argwhere(near).tolist():
            if other is not None or column > start + row:
                yield start + row, column, float(unlike[row, column] / either[row, column])


def _steps(small: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return two bits for each pair of neighbours along each axis, `(count, bits)`."""
    axes = range(1, small.ndim)
    spread = np.ptp(small, axis=tuple(axes), keepdims=True) * _LEAST_STEP
    found = []
    for axis in axes:
        rise = np.diff(small, axis=axis)
        # Where a volume has one value, nothing exceeds a least step of 0.
        found += [(rise > spread), (rise < -spread)]
    return np.concatenate([bits.reshape(len(small), -1) for bits in found], axis=1)
