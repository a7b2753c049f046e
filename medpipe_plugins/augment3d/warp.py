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
from medpipe_plugins.augment3d.routes import route
from medpipe_plugins.augment3d.warping import Box, Composed, by_kernel, by_loops, by_torch
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

    Maps are composed on the CPU, in float64, whatever device the volumes are on, which is told
    once what to do and is asked nothing. Where a draw is learned or watched, torch composes them on
    the volumes' device.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
    """

    on_cpu = True

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self.dtype = exact(volumes.dtype)
        self._count = count = len(volumes)
        # Where voxels come from, since the start and since each box was erased: (1 + boxes, batch,
        # 3, 4), in coordinates that begin at the volume's centre, where turns leave it.
        self._back: Any = maps.unit(1, count)
        self._boxes: list[tuple[Any, ...]] = []  # rows, start, stop
        self._moved = np.zeros(count, np.bool_)
        self._mirrored = np.zeros((count, 3), np.bool_)
        self._way = route(volumes)
        if self._way == "torch" and watched(volumes):
            self._let_torch_see()

    @property
    def seen(self) -> bool:
        """Whether torch composes the maps, because one is learned or somebody watches."""
        return isinstance(self._back, Tensor)

    def move(self, rows: Rows, matrix: Tensor) -> None:
        """Move the content of some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            matrix: Where a voxel goes, `(count, 3, 4)`, as `resample` takes it.
        """
        if matrix.requires_grad and not self.seen:
            self._let_torch_see()
        told: Any = matrix.to(self._back) if self.seen else as_array(matrix).astype(np.float64)
        with uncast(self.volumes):
            undo = maps.moved_origin(maps.inverse(told), self._centre())
            self._back = maps.after(self._back, self._moving(rows), undo)

    def turn(
        self, rows: Rows, axes: tuple[int, int], degrees: NDArray[np.float64], longer: float = 1.0
    ) -> None:
        """Turn the content of some volumes about their centre.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            axes: The axis that turns, and the one that it turns to; 0 is x, 1 is y, 2 is z.
            degrees: By how much, `(count,)`.
            longer: How many voxels along the second axis are as long as one along the first.
        """
        angle = np.deg2rad(degrees)[:, None]
        cos, sin = np.cos(angle), np.sin(angle)
        maps.turn(self._back, self._moving(rows), axes, cos, sin * longer, sin * (-1 / longer))

    def scale(self, rows: Rows, factor: NDArray[np.float64]) -> None:
        """Scale the content of some volumes about their centre by factors, `(count,)`."""
        maps.scale(self._back, self._moving(rows), factor[:, None, None])

    def shift(self, rows: Rows, voxels: NDArray[np.float64]) -> None:
        """Shift the content of some volumes along (width, height, depth), `(count, 3)`."""
        maps.shift(self._back, self._moving(rows), voxels)

    def mirror(self, rows: Rows, axis: int) -> None:
        """Mirror some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            axis: -3 for depth, -2 for height, -1 for width.
        """
        where = self._where(rows)
        self._mirrored[where, axis] ^= True
        maps.mirror(self._back, where, -1 - axis)  # axis −1 is x, −2 is y, −3 is z

    def erase(self, rows: Rows, start: Any, stop: Any) -> None:
        """Set a box to 0 in some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            start: First voxel along (width, height, depth), `(count, 3)`: a tensor or an array.
            stop: The voxel after the last, likewise.
        """
        unit: Any = maps.unit(1, self._count)
        if self.seen:
            start, stop = (torch.as_tensor(edge).to(self._back) for edge in (start, stop))
            self._back = torch.cat((self._back, torch.from_numpy(unit).to(self._back)))
        else:
            start, stop = as_array(start), as_array(stop)
            self._back = np.concatenate((self._back, unit))
        self._boxes.append((as_array(rows), start, stop))

    def result(self) -> Tensor:
        """Apply it all."""
        with uncast(self.volumes):
            composed = self._composed()
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

    def _composed(self) -> Composed:
        centre = self._centre()
        back = maps.moved_origin(self._back, -centre)
        return Composed(
            moved=self._moved,
            mirrored=self._mirrored & ~self._moved[:, None],
            back=back[0],
            boxes=[
                Box(rows, after[rows], *self._beyond(start, stop, 2 * centre + 1))
                for (rows, start, stop), after in zip(self._boxes, back[1:], strict=True)
            ],
        )

    def _beyond(self, start: Any, stop: Any, size: Any) -> tuple[Any, Any]:
        """Let boxes that meet the border go on: nothing is left there to be interpolated in."""
        where: Any = torch.where if self.seen else np.where
        return where(start <= 0, -np.inf, start), where(stop >= size, np.inf, stop)

    def _centre(self) -> Any:
        """Return the centre of the volumes in voxels, (x, y, z)."""
        depth, height, width = sizes(self.volumes)
        centre = ((width - 1) / 2, (height - 1) / 2, (depth - 1) / 2)
        return self._back.new_tensor(centre) if self.seen else np.array(centre)

    def _let_torch_see(self) -> None:
        """Go on with tensors."""
        self._back = torch.from_numpy(self._back).to(self.volumes.device, self.dtype)
        self._boxes = [
            (rows, *(torch.from_numpy(edge).to(self._back) for edge in edges))
            for rows, *edges in self._boxes
        ]

    def _moving(self, rows: Rows) -> Any:
        """Note that some volumes are no longer where they were, and return an index of them."""
        where = self._where(rows)
        self._moved[where] = True
        return where

    def _where(self, rows: Rows) -> Any:
        """Return an index of some volumes: a slice for all of them, which copies nothing."""
        return slice(None) if len(rows) == self._count else as_array(rows)


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
