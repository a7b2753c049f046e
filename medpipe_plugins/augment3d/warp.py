"""Operations that move voxels, composed: one map for each volume and one resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from medpipe_core import Fusion
from medpipe_plugins.augment3d import maps
from medpipe_plugins.augment3d.base import (
    Augmentation3D,
    as_array,
    as_tensor,
    exact,
    sizes,
    uncast,
)
from medpipe_plugins.augment3d.moves import Moves
from medpipe_plugins.augment3d.routes import route
from medpipe_plugins.augment3d.seen_moves import SeenMoves
from medpipe_plugins.augment3d.warping import by_kernel, by_loops, by_torch
from medpipe_plugins.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = Tensor | NDArray[np.int64]


class Warp(Fusion):
    """What neighbouring operations on a batch of volumes do to its voxels, composed.

    It differs from one operation after another by interpolation, of which there is one; and content
    that one operation takes out of the field of view is there again where the next brings it back.
    Volumes that were only mirrored are mirrored exactly, and those that nothing was done to stay as
    they are.

    An erased box lies where the maps after it take it. With f the ramp that linear interpolation
    makes of a box, its edges one voxel wide, the result is (1 − f) · v, where one operation after
    another would interpolate the product instead.

    Moves are gathered and composed on the CPU, in float64, whatever device the volumes are on,
    which is told once what to do and is asked nothing. Where a draw is learned or watched, torch
    composes them on the volumes' device.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
    """

    on_cpu = True

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self.dtype = exact(volumes.dtype)
        self._moves: Moves | SeenMoves = Moves(len(volumes))
        self._way = route(volumes)
        if self._way == "torch" and watched(volumes):
            self._let_torch_see()

    @property
    def seen(self) -> bool:
        """Whether torch composes the maps, because one is learned or somebody watches."""
        return isinstance(self._moves, SeenMoves)

    def move(self, rows: Rows, matrix: Tensor) -> None:
        """Move the content of some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            matrix: Where a voxel goes, `(count, 3, 4)`, as `resample` takes it.
        """
        if matrix.requires_grad and not self.seen:
            self._let_torch_see()
        centre = np.array(self._centre())
        if isinstance(self._moves, SeenMoves):
            with uncast(self.volumes):
                self._moves.move(as_array(rows), matrix, centre)
        else:
            undo = maps.inverse(as_array(matrix).astype(np.float64))
            self._moves.move(as_array(rows), maps.moved_origin(undo, centre))

    def turn(
        self, rows: Rows, axes: tuple[int, int], degrees: NDArray[np.floating], longer: float = 1.0
    ) -> None:
        """Turn the content of some volumes about their centre.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            axes: The axis that turns, and the one that it turns to; 0 is x, 1 is y, 2 is z.
            degrees: By how much, `(count,)`.
            longer: How many voxels along the second axis are as long as one along the first.
        """
        self._gathered().turn(as_array(rows), axes, degrees, longer)

    def scale(self, rows: Rows, factor: NDArray[np.floating]) -> None:
        """Scale the content of some volumes about their centre by factors, `(count,)`."""
        self._gathered().scale(as_array(rows), factor)

    def shift(self, rows: Rows, voxels: NDArray[np.floating]) -> None:
        """Shift the content of some volumes along (width, height, depth), `(count, 3)`."""
        self._gathered().shift(as_array(rows), voxels)

    def mirror(self, rows: Rows, axis: int) -> None:
        """Mirror some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            axis: -3 for depth, -2 for height, -1 for width.
        """
        self._moves.mirror(as_array(rows), -1 - axis)  # axis −1 is x, −2 is y, −3 is z

    def erase(self, rows: Rows, start: Any, stop: Any) -> None:
        """Set a box to 0 in some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            start: First voxel along (width, height, depth), `(count, 3)`: a tensor or an array.
            stop: The voxel after the last, likewise.
        """
        if isinstance(self._moves, SeenMoves):
            self._moves.erase(as_array(rows), start, stop)
        else:
            self._moves.erase(as_array(rows), as_array(start), as_array(stop))

    def result(self) -> Tensor:
        """Apply it all."""
        with uncast(self.volumes):
            composed = self._moves.composed(sizes(self.volumes)[::-1], self._centre())
            way = "torch" if self.seen else self._way
            if way == "compiled" and not self.volumes.requires_grad:
                return by_loops(self.volumes, composed)
            if way == "launched":
                return by_kernel(self.volumes, composed)
            return by_torch(self.volumes, composed)

    def alike(self, count: int, draw: Sequence[Tensor]) -> Tensor:
        """Return so many volumes of the right shape and type, beside the draw; not to be read.

        Where nothing was drawn on the volumes' device, these take no memory and lie on the CPU.
        """
        device = self.volumes.device
        if self.seen or device.type == "cpu" or any(row.device == device for row in draw):
            return self.volumes[:count]
        return torch.empty((), dtype=self.volumes.dtype).expand(count, *self.volumes.shape[1:])

    def _centre(self) -> tuple[float, float, float]:
        """Return the centre of the volumes in voxels, (x, y, z)."""
        depth, height, width = sizes(self.volumes)
        return (width - 1) / 2, (height - 1) / 2, (depth - 1) / 2

    def _gathered(self) -> Moves:
        """Return the moves that are left as numbers."""
        if isinstance(self._moves, SeenMoves):
            raise RuntimeError("torch composes the maps, so it has to be told matrices")
        return self._moves

    def _let_torch_see(self) -> None:
        """Go on with tensors."""
        if isinstance(self._moves, Moves):
            so_far = self._moves.composed(sizes(self.volumes)[::-1], (0, 0, 0))
            self._moves = SeenMoves(so_far, self.volumes.device, self.dtype)


class Composable3D(Augmentation3D):
    """An operation that says what it does by joining a `Warp`."""

    fusion: ClassVar[type[Fusion] | None] = Warp

    def join(self, fusion: Warp, rows: Rows, *draw: Any) -> None:
        """Tell the warp what is done to some volumes."""
        raise NotImplementedError

    def apply(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Do it alone."""
        warp = Warp(volumes)
        self.join(warp, torch.arange(len(volumes)), *draw)
        return warp.result()


class Warp3D(Composable3D):
    """An operation that resamples the volume by its matrix: trilinear, zeros from outside."""

    def matrix(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Return `(count, 3, 4)`, source to destination, voxel coordinates (x, y, z).

        Args:
            volumes: As many volumes as there are rows in the draw, of the right shape, on the
                draw's device; their content is not to be looked at.
            draw: What `draw` returned, floating-point numbers in at least single precision.
        """
        raise NotImplementedError

    def join(self, fusion: Warp, rows: Rows, *draw: Any) -> None:
        """Move the volumes by the matrix."""
        rows_of = [as_tensor(row) for row in draw]
        wide = [row.to(fusion.dtype) if row.is_floating_point() else row for row in rows_of]
        with uncast(fusion.volumes):
            matrix = self.matrix(fusion.alike(len(rows), wide), *wide)
        fusion.move(rows, matrix)
