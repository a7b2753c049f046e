"""From the axes of a file to axes that rise to the right, to the front and upwards."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the axes of a file go.

    Attributes:
        shape: Of the values, `(right, front, up)`.
        affine: Of the values, to RAS millimetres.
        axes: For each axis of the file, the axis of the values that it is nearest to.
        flipped: The axes of the file that run the other way.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    axes: tuple[int, ...]
    flipped: tuple[int, ...]

    def empty(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return new values, and the same memory with the axes of the file, to be filled.

        Memory is in the order of the file, whose first axis is the fastest.
        """
        of_file = tuple(self.shape[axis] for axis in self.axes)
        stored = np.empty(of_file, np.float32, order="F")
        return stored.transpose(np.argsort(self.axes)), np.flip(stored, self.flipped)


def place(shape: tuple[int, ...], affine: NDArray[np.float64]) -> Placement:
    """Say where the three axes of a file go, given its affine to RAS millimetres.

    Axes are exchanged and turned round, never resampled, so that an oblique scan keeps its voxels.
    """
    orientation = io_orientation(affine)
    axes = tuple(int(axis) for axis in orientation[:, 0])
    flipped = tuple(int(axis) for axis in np.flatnonzero(orientation[:, 1] < 0))
    placed = [0] * 3
    for axis, size in zip(axes, shape, strict=True):
        placed[axis] = size
    return Placement(tuple(placed), affine @ inv_ornt_aff(orientation, shape), axes, flipped)


def usable(affine: NDArray[np.float64]) -> bool:
    """Say whether an affine leads from voxels to millimetres and back."""
    if not np.isfinite(affine).all():
        return False
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < 1e-6 or lengths.max() > 1e6 or np.abs(affine).max() > 1e9:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3)


def displacement(
    one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    """Return how far, in millimetres, two affines put a corner of a volume apart at most."""
    corners = np.array([(*c, 1) for c in itertools.product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def shear(affine: NDArray[np.float64]) -> float:
    """Return by how many degrees an axis leans from the normal of the other two, at most."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    normals = np.cross(axes[:, [1, 2, 0]], axes[:, [2, 0, 1]], axis=0)
    cosines = np.abs((normals * axes).sum(axis=0)) / np.linalg.norm(normals, axis=0)
    return float(np.degrees(np.arccos(np.minimum(1.0, cosines.min()))))
