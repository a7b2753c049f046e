"""Flips, rotations and scaling: operations that move voxels.

Each can state itself as a matrix, `(count, 3, 4)` from source to destination in voxel coordinates
(x, y, z) = (width, height, depth), kornia's convention, so a chain of them is the product of their
matrices and one `resample`. What comes from outside the field of view is 0. Interpolation is
trilinear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from medpipe_core import Symmetry
from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import ALIKE, as_array, between, exact, require, sizes
from medpipe_plugins.augment3d.warp import Warp3D

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_plugins.augment3d.warp import Warp

    Entries = Mapping[tuple[int, int], Tensor]


class Flip3D(Warp3D):
    """Mirrors along one axis: v[i] becomes v[n − 1 − i]. Exact, without interpolation."""

    changes = frozenset({"side"})

    uniforms = 0
    axis: ClassVar[int]

    def from_uniforms(self, numbers: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """Draw nothing: p alone decides."""
        return ()

    def symmetries(self, axes: int) -> tuple[Symmetry, ...]:
        """Return the mirror."""
        return (Symmetry.mirror(self.axis, axes),)

    def join(self, fusion: Warp, rows: Any) -> None:
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


class Formula3D(Warp3D):
    """An operation whose matrix is a formula of its draw, which a warp knows in closed form."""

    def entries(self, size: Sequence[int], *draw: Any) -> Entries:
        """Return by row and column what differs from the matrix that moves nothing.

        Args:
            size: Depth, height and width.
            draw: What `draw` returned.
        """
        raise NotImplementedError

    def matrix(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Return the matrices, `(count, 3, 4)`; differentiable in the draw."""
        (amount, *_) = draw
        nothing = torch.zeros_like(amount.reshape(len(amount), -1)[:, 0])
        found = {(n, n): nothing + 1 for n in range(3)} | {**self.entries(sizes(volumes), *draw)}
        flat = [found.get((row, column), nothing) for row in range(3) for column in range(4)]
        return torch.stack(flat, 1).view(-1, 3, 4)

    def move(self, fusion: Warp, rows: Any, *draw: NDArray[np.floating]) -> None:
        """Do in a warp what the matrix says, in closed form."""
        raise NotImplementedError

    def join(self, fusion: Warp, rows: Any, *draw: Any) -> None:
        """Move the volumes; by the matrix where torch has to see it, or a subclass has its own."""
        own = type(self).matrix is not Formula3D.matrix
        if own or fusion.seen or any(isinstance(r, Tensor) and r.requires_grad for r in draw):
            super().join(fusion, rows, *draw)
        else:
            self.move(fusion, rows, *map(as_array, draw))


class Rotation3D(Formula3D):
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
    uniforms = 1

    left = magnitudes.ROTATION_LEFT
    right = magnitudes.ROTATION_RIGHT
    axis: ClassVar[int]

    def from_uniforms(
        self, numbers: NDArray[np.float32], *, left: float, right: float
    ) -> NDArray[np.float32]:
        """Draw one angle for each volume, in degrees."""
        return between(numbers[:, 0], left, right)

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
        square = abs(longer - 1) < ALIKE
        return tuple(
            turn
            for number, turn in enumerate(turns, start=1)
            if (square or number == 2)
            and any(low <= 90 * number + whole <= high for whole in (-360, 0))
        )

    def entries(self, size: Sequence[int], amount: Any) -> Entries:
        """Return the entries of the rotation, `(count,)` each."""
        angle = torch.deg2rad(amount)
        cos, sin = angle.cos(), angle.sin()
        one, other = (self.axis + 1) % 3, (self.axis + 2) % 3  # the first turns to the second
        longer, centre = self._longer(one, other), _centre(size)
        down, up = sin * longer, sin * (-1 / longer)
        return {
            (one, one): cos,
            (other, other): cos,
            (other, one): down,
            (one, other): up,
            (one, 3): (1 - cos) * centre[one] - up * centre[other],
            (other, 3): (1 - cos) * centre[other] - down * centre[one],
        }

    def move(self, fusion: Warp, rows: Any, *draw: NDArray[np.floating]) -> None:
        """Turn."""
        one, other = (self.axis + 1) % 3, (self.axis + 2) % 3
        (degrees,) = draw
        fusion.turn(rows, (one, other), degrees, self._longer(one, other))

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


class Affine(Formula3D):
    """Scales each volume about its centre, alike along all axes, in millimetres as in voxels.

    The factor is uniform in [left, right]; above 1 the content grows. Bounds in the wrong order
    are swapped.

    Attributes:
        left: One bound of the factor.
        right: The other.
    """

    changes = frozenset({"size"})
    uniforms = 1

    left = magnitudes.AFFINE_LEFT
    right = magnitudes.AFFINE_RIGHT

    def from_uniforms(
        self, numbers: NDArray[np.float32], *, left: float, right: float
    ) -> NDArray[np.float32]:
        """Draw one factor for each volume.

        Raises:
            MagnitudeError: A bound is not above 0.
        """
        require(min(left, right) > 0, self, "factors above 0", left=left, right=right)
        return between(numbers[:, 0], left, right)

    def entries(self, size: Sequence[int], amount: Any) -> Entries:
        """Return the entries of the scaling, `(count,)` each."""
        scales = {(axis, axis): amount for axis in range(3)}
        moves = {(axis, 3): (1 - amount) * centre for axis, centre in enumerate(_centre(size))}
        return scales | moves

    def move(self, fusion: Warp, rows: Any, *draw: NDArray[np.floating]) -> None:
        """Scale."""
        fusion.scale(rows, *draw)


class Shift(Formula3D):
    """Moves each volume's content along all three axes.

    The shift along an axis is uniform in [−share, share] of its length, so that it is the same
    share of the patient whatever the spacing; zeros come in.

    Attributes:
        share: Largest shift, as a share of the axis, in [0, 1].
    """

    changes = frozenset({"position"})
    uniforms = 3

    share = magnitudes.SHIFT_SHARE

    def from_uniforms(self, numbers: NDArray[np.float32], *, share: float) -> NDArray[np.float32]:
        """Draw a shift along (width, height, depth), as shares of the axes, `(count, 3)`.

        Raises:
            MagnitudeError: The share is not in [0, 1].
        """
        require(0 <= share <= 1, self, "a share in [0, 1]", share=share)
        return between(numbers, -share, share)

    def entries(self, size: Sequence[int], amount: Any) -> Entries:
        """Return the entries of the shift, `(count,)` each."""
        return {(axis, 3): amount[:, axis] * size[2 - axis] for axis in range(3)}

    def move(self, fusion: Warp, rows: Any, *draw: NDArray[np.floating]) -> None:
        """Shift."""
        (amount,) = draw
        fusion.shift(rows, amount * sizes(fusion.volumes)[::-1])


def _centre(size: Sequence[int]) -> tuple[float, float, float]:
    """Return the centre of volumes in voxels, (x, y, z), from depth, height and width."""
    depth, height, width = size
    return (width - 1) / 2, (height - 1) / 2, (depth - 1) / 2
