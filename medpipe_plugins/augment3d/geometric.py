"""Flips, rotations and scaling: operations that move voxels.

Each can state itself as a matrix, `(count, 3, 4)` from source to destination in voxel coordinates
(x, y, z) = (width, height, depth), kornia's convention, so a chain of them is the product of their
matrices and one `resample`. What comes from outside the field of view is 0. Interpolation is
trilinear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from medpipe_core import Symmetry
from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import exact, require, sizes, uniform
from medpipe_plugins.augment3d.warp import Warp3D

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from medpipe_plugins.augment3d.warp import Warp


_ALIKE = 1e-3  # by which two lengths in files may differ and be meant as one


class Flip3D(Warp3D):
    """Mirrors along one axis: v[i] becomes v[n − 1 − i]. Exact, without interpolation."""

    changes = frozenset({"side"})

    axis: ClassVar[int]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw nothing: p alone decides."""
        return ()

    def symmetries(self, axes: int) -> tuple[Symmetry, ...]:
        """Return the mirror."""
        return (Symmetry.mirror(self.axis, axes),)

    def join(self, fusion: Warp, rows: Tensor) -> None:
        """Mirror the volumes."""
        fusion.mirror(rows, self.axis)

    def apply(self, volumes: Tensor) -> Tensor:
        """Mirror."""
        return volumes.flip(self.axis)

    def matrix(self, volumes: Tensor) -> Tensor:
        """Return the mirror as a matrix, `(count, 3, 4)`."""
        row = -1 - self.axis  # axis −1 is x, −2 is y, −3 is z
        matrix = torch.eye(3, 4, dtype=exact(volumes.dtype), device=volumes.device)
        matrix[row, row], matrix[row, 3] = -1.0, sizes(volumes)[self.axis] - 1.0
        return matrix.expand(len(volumes), 3, 4)


class VFlip(Flip3D):
    """Vertical flip: along height."""

    axis = -2


class HFlip(Flip3D):
    """Horizontal flip: along width."""

    axis = -1


class DFlip(Flip3D):
    """Depth flip: along depth."""

    axis = -3


class Rotation3D(Warp3D):
    """Turns each volume about one axis through its centre, in millimetres.

    What is round stays round where voxels are no cubes: `voxel_spacing` counts. The angle is
    uniform in [left, right], in degrees. A positive angle follows the right-hand rule about the
    axis in (x, y, z) = (width, height, depth) coordinates, as the yaw, pitch and roll of kornia's
    `RandomRotation3D` do. Bounds in the wrong order are swapped.

    Attributes:
        left: Lower bound, degrees.
        right: Upper bound, degrees.
    """

    changes = frozenset({"orientation"})

    left = magnitudes.ROTATION_LEFT
    right = magnitudes.ROTATION_RIGHT
    axis: ClassVar[int]

    def draw(self, count: int, generator: torch.Generator, *, left: float, right: float) -> Tensor:
        """Draw one angle for each volume, in degrees."""
        return uniform(count, left, right, generator)

    def symmetries(self, axes: int, *, left: float, right: float) -> tuple[Symmetry, ...]:
        """Return the turns by 90°, 180° and 270° that are among its angles.

        Where voxels are longer along one of the two axes, only that by 180° takes voxels to voxels.
        """
        # Axes of space are (depth, height, width), those of the matrix (x, y, z) the other way.
        one, other = (axes - 1 - (self.axis + k) % 3 for k in (2, 1))
        quarter = Symmetry.quarter_turn(one, other, axes)
        turns = (quarter, quarter.after(quarter), quarter.after(quarter.after(quarter)))
        low, high = min(left, right), max(left, right)
        longer = self._longer((self.axis + 1) % 3, (self.axis + 2) % 3)
        square = abs(longer - 1) < _ALIKE
        return tuple(
            turn
            for number, turn in enumerate(turns, start=1)
            if (square or number == 2)
            and any(low <= 90 * number + whole <= high for whole in (-360, 0))
        )

    def matrix(self, volumes: Tensor, amount: Tensor) -> Tensor:
        """Return the rotation as a matrix, `(count, 3, 4)`."""
        angle = torch.deg2rad(amount)
        cos, sin = angle.cos(), angle.sin()
        one, other = (self.axis + 1) % 3, (self.axis + 2) % 3  # the first turns to the second
        entries = [[torch.zeros_like(angle)] * 4 for _ in range(3)]
        entries[self.axis][self.axis] = torch.ones_like(angle)
        entries[one][one] = entries[other][other] = cos
        longer = self._longer(one, other)
        entries[other][one], entries[one][other] = sin * longer, -sin / longer
        centre = _centre(volumes)
        entries[one][3] = (1 - cos) * centre[one] - entries[one][other] * centre[other]
        entries[other][3] = (1 - cos) * centre[other] - entries[other][one] * centre[one]
        return _stacked(entries)

    def _longer(self, one: int, other: int) -> float:
        """Return how many voxels along `other` are as long as one along `one`; axes are x, y, z."""
        if self.voxel_spacing is None:
            return 1.0
        return self.voxel_spacing[-1 - one] / self.voxel_spacing[-1 - other]


class VRotation(Rotation3D):
    """Rotation about the vertical axis, kornia's pitch: depth turns towards width."""

    axis = 1


class HRotation(Rotation3D):
    """Rotation about the horizontal axis, kornia's yaw: height turns towards depth."""

    axis = 0


class DRotation(Rotation3D):
    """Rotation about the depth axis, in the slice, kornia's roll: width turns towards height."""

    axis = 2


class Affine(Warp3D):
    """Scales each volume about its centre, alike along all axes.

    The factor is uniform in [left, right]; above 1 the content grows. Bounds in the wrong order
    are swapped.

    Attributes:
        left: One bound of the factor.
        right: The other.
    """

    changes = frozenset({"size"})

    left = magnitudes.AFFINE_LEFT
    right = magnitudes.AFFINE_RIGHT

    def draw(self, count: int, generator: torch.Generator, *, left: float, right: float) -> Tensor:
        """Draw one factor for each volume.

        Raises:
            MagnitudeError: A bound is not above 0.
        """
        require(min(left, right) > 0, self, "factors above 0", left=left, right=right)
        return uniform(count, left, right, generator)

    def matrix(self, volumes: Tensor, amount: Tensor) -> Tensor:
        """Return the scaling as a matrix, `(count, 3, 4)`."""
        zero = torch.zeros_like(amount)
        entries = [[zero] * 4 for _ in range(3)]
        for axis, centre in enumerate(_centre(volumes)):
            entries[axis][axis], entries[axis][3] = amount, (1 - amount) * centre
        return _stacked(entries)


class Shift(Warp3D):
    """Moves each volume's content along all three axes.

    The shift along an axis is uniform in [−share, share] of its length; zeros come in.

    Attributes:
        share: Largest shift, as a share of the axis, in [0, 1].
    """

    changes = frozenset({"position"})

    share = magnitudes.SHIFT_SHARE

    def draw(self, count: int, generator: torch.Generator, *, share: float) -> Tensor:
        """Draw a shift along (width, height, depth), as shares of the axes, `(count, 3)`.

        Raises:
            MagnitudeError: The share is not in [0, 1].
        """
        require(0 <= share <= 1, self, "a share in [0, 1]", share=share)
        return uniform(3 * count, -share, share, generator).view(count, 3)

    def matrix(self, volumes: Tensor, amount: Tensor) -> Tensor:
        """Return the shift as a matrix, `(count, 3, 4)`."""
        lengths = amount.new_tensor(tuple(sizes(volumes))[::-1])
        unit = torch.eye(3, dtype=amount.dtype, device=amount.device).expand(len(amount), 3, 3)
        return torch.cat((unit, (amount * lengths)[:, :, None]), 2)


def _centre(volumes: Tensor) -> tuple[float, float, float]:
    """Return the centre of the volumes in voxels, (x, y, z)."""
    depth, height, width = sizes(volumes)
    return (width - 1) / 2, (height - 1) / 2, (depth - 1) / 2


def _stacked(entries: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return matrices, `(count, 3, 4)`, of entries that are `(count,)` each."""
    return torch.stack([entry for row in entries for entry in row], 1).view(-1, 3, 4)
