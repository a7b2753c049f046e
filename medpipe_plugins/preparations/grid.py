"""Preparations of the grid: which way axes run, how far voxels are apart, what is cut.

Arrays are `(depth, height, width)`, as axial slices of DICOM are stored and shown: depth rises from
the feet to the head, height from the front to the back, width from the patient's right to the left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from pydantic import Field
from scipy import ndimage

from medpipe_core.data import DataError
from medpipe_plugins.preparations.intensity import Step, channels, check_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from medpipe_core.data import Volume

Voxels = Annotated[int, Ge(1), Le(4096)]
Millimetres = Annotated[float, Gt(0), Le(1000)]
# World axis (right, front, up) that each array axis follows, and whether it runs the same way.
_AXES = ((2, 1), (1, -1), (0, -1))
_MOST_VOXELS = 2**30
_BINS = 256


class Orient(Step):
    """Exchanges and turns axes to (up, back, left); nothing is resampled."""

    unknown: Literal["keep", "refuse"] = Field(
        "keep", description="scans without geometry: kept as slice, row, column, or refused"
    )

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan as depth, height and width."""
        if scan.affine is None:
            if self.unknown == "refuse":
                raise DataError("the file does not say how the patient lay")
            return scan
        directions = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
        order = _nearest_axes(directions)
        signs = [
            sign * directions[world, axis] for (world, sign), axis in zip(_AXES, order, strict=True)
        ]
        flipped = [axis for axis, sign in enumerate(signs) if sign < 0]
        lead = scan.values.ndim - 3
        values = scan.values.transpose(*range(lead), *(lead + axis for axis in order))
        values = np.flip(values, tuple(lead + axis for axis in flipped))
        to_old = np.zeros((4, 4))
        to_old[3, 3] = 1
        for new, old in enumerate(order):
            to_old[old, new] = -1 if new in flipped else 1
            to_old[old, 3] = values.shape[lead + new] - 1 if new in flipped else 0
        return scan.with_values(values, affine=scan.affine @ to_old)


class Resample(Step):
    """Brings voxels to a distance in millimetres, trilinearly; averages where that is coarser."""

    spacing: Millimetres | tuple[Millimetres, Millimetres, Millimetres] = Field(
        1.0, description="millimetres between voxels, one or depth, height, width"
    )

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan with that spacing, over the same room to half a voxel."""
        if scan.spacing is None:
            raise DataError(
                "the file does not say how far voxels are apart; leave 'resample' out, or use "
                "'resize'"
            )
        wanted = _three(self.spacing)
        shape = scan.values.shape[-3:]
        scales = [new / old for new, old in zip(wanted, scan.spacing, strict=True)]
        size = [max(1, round(n / scale)) for n, scale in zip(shape, scales, strict=True)]
        return _interpolated(scan, size, scales)


class Resize(Step):
    """Brings scans to a number of voxels, trilinearly; averages where that is fewer."""

    size: Voxels | tuple[Voxels | None, Voxels | None, Voxels | None] = Field(
        64, description="voxels, one number or depth, height, width; null for as many as there are"
    )

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan in that size, over the same room."""
        shape = scan.values.shape[-3:]
        size = [new or n for n, new in zip(shape, _three(self.size), strict=True)]
        return _interpolated(scan, size, [n / new for n, new in zip(shape, size, strict=True)])


class Centre(Step):
    """Cuts or pads around the centre to a number of voxels; nothing is resampled."""

    size: Voxels | tuple[Voxels, Voxels, Voxels] = Field(
        64, description="voxels, one number or depth, height, width"
    )
    value: float | None = Field(None, description="of added voxels; null for the least there is")

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan in that size."""
        size = _three(self.size)
        shape = scan.values.shape
        starts = [(n - new) // 2 for n, new in zip(shape[-3:], size, strict=True)]
        value = float(scan.values.min()) if self.value is None else self.value
        values = np.full((*shape[:-3], *size), value, np.float32)
        pairs = list(zip(starts, shape[-3:], size, strict=True))
        taken = tuple(slice(max(s, 0), min(s + new, n)) for s, n, new in pairs)
        put = tuple(
            slice(max(-s, 0), max(-s, 0) + t.stop - t.start)
            for s, t in zip(starts, taken, strict=True)
        )
        values[..., put[0], put[1], put[2]] = scan.values[..., taken[0], taken[1], taken[2]]
        return scan.with_values(values, affine=_moved(scan.affine, starts))


class CropBody(Step):
    """Cuts to the box around the largest connected part that is bright in any channel."""

    threshold: float | None = Field(
        None, description="what is above is bright; null for Otsu's threshold of each channel"
    )
    margin: Annotated[int, Ge(0), Le(512)] = Field(2, description="voxels left around the box")

    def __call__(self, scan: Volume) -> Volume:
        """Return the part of the scan; all of it, with a note, where nothing is bright."""
        check_finite(scan.values)
        bright = np.zeros(scan.values.shape[-3:], bool)
        for channel in channels(scan.values):
            bright |= channel > (_otsu(channel) if self.threshold is None else self.threshold)
        parts, count = ndimage.label(bright)
        if not count:
            return scan.with_values(scan.values, note="nothing is bright, so nothing was cut")
        largest = int(np.bincount(parts.ravel())[1:].argmax())
        box: tuple[slice, ...] = ndimage.find_objects(parts, largest + 1)[largest]
        sides = [
            slice(max(side.start - self.margin, 0), min(side.stop + self.margin, length))
            for side, length in zip(box, scan.values.shape[-3:], strict=True)
        ]
        affine = _moved(scan.affine, [side.start for side in sides])
        depth, height, width = sides
        return scan.with_values(scan.values[..., depth, height, width], affine=affine)


def _nearest_axes(directions: NDArray[np.float64]) -> list[int]:
    """Return for each array axis the old axis nearest to it, every old axis once."""
    remaining = np.abs(directions)
    found: dict[int, int] = {}
    for _ in range(3):
        world, axis = np.unravel_index(int(remaining.argmax()), (3, 3))
        found[int(world)] = int(axis)
        remaining[world, :] = remaining[:, axis] = -1
    return [found[world] for world, _ in _AXES]


def _interpolated(scan: Volume, size: Sequence[int], scales: Sequence[float]) -> Volume:
    """Return a scan on a grid with the same centre, `scale` old voxels from voxel to voxel."""
    check_finite(scan.values)
    shape = scan.values.shape[-3:]
    if np.prod([float(n) for n in size]) > _MOST_VOXELS:
        raise DataError(f"{shape} voxels would become {tuple(size)}, more than {_MOST_VOXELS}")
    values = scan.values
    to_old = np.eye(4)
    # The axis that shrinks most goes first.
    for axis in sorted(range(3), key=lambda axis: size[axis] / shape[axis]):
        start = (shape[axis] - 1) / 2 - (size[axis] - 1) / 2 * scales[axis]
        to_old[axis, axis], to_old[axis, 3] = scales[axis], start
        if size[axis] == shape[axis] and scales[axis] == 1:
            continue
        weights = _weights(shape[axis], start + np.arange(size[axis]) * scales[axis], scales[axis])
        values = _weighted(values, weights, axis)
    affine = None if scan.affine is None else scan.affine @ to_old
    return scan.with_values(values, affine=affine)


def _weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Return weighted sums along depth (0), height (1) or width (2); no axis is moved for that."""
    *lead, depth, height, width = values.shape
    if axis == 0:
        values = values.reshape(*lead, depth, height * width)
    found: NDArray[np.float32] = values @ weights.T if axis == 2 else weights @ values
    return found if axis else found.reshape(*lead, len(weights), height, width)


def _weights(count: int, positions: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    """Return `(len(positions), count)`: linear between neighbours, wider where voxels are merged.

    Beyond the ends the outermost voxel counts.
    """
    inside = np.clip(positions, 0, count - 1)[:, None]
    reach = max(scale, 1.0)
    weights = np.maximum(0, 1 - np.abs(inside - np.arange(count)) / reach)
    normed: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return normed


def _moved(affine: NDArray[np.float64] | None, starts: Sequence[int]) -> NDArray[np.float64] | None:
    """Return an affine whose index 0 is what was at `starts`."""
    if affine is None:
        return None
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array(starts, float)
    return moved


def _otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold between two classes that lie farthest apart (Otsu 1979)."""
    counts, edges = np.histogram(values, _BINS)
    below = np.cumsum(counts)[:-1].astype(float)
    above = values.size - below
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
    between = np.nan_to_num(below * above * apart**2)
    return float(edges[1 + int(between.argmax())])


def _three(value: Any) -> tuple[Any, Any, Any]:
    return value if isinstance(value, tuple) else (value, value, value)
