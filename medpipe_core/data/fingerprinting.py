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
_BLOCK = 2**25  # numbers of either side compared at once


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
    rows = max(_BLOCK // max(8 * against.shape[1], 1), 1)
    for top in range(0, len(one), rows):
        ours = _as_numbers(one[top : top + rows])
        first = 0 if other is not None else top  # else the pairs before are known
        for left in range(first, len(against), rows):
            theirs = _as_numbers(against[left : left + rows])
            both = ours @ theirs.T
            apart = ours.sum(1)[:, None] + theirs.sum(1) - 2 * both
            either = both + apart
            for i, j in np.argwhere((either > 0) & (apart < below * either)).tolist():
                row, column = top + i, left + j
                if other is not None or column > row:
                    yield row, column, float(apart[i, j]) / float(either[i, j])


def _as_numbers(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the bits as 0 and 1, so that a product of matrices counts what pairs share, exactly.

    float32 counts to 2²⁴, and a fingerprint has some ten thousand bits.
    """
    return np.unpackbits(packed, axis=1).astype(np.float32)


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
