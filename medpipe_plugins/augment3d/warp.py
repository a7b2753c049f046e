"""Operations that move voxels, composed: one map for each volume and one resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from medpipe_core import Fusion
from medpipe_plugins.augment3d import maps
from medpipe_plugins.augment3d.base import Augmentation3D, exact, sizes, uncast
from medpipe_plugins.augment3d.routes import route
from medpipe_plugins.augment3d.warping import Box, Composed, by_kernel, by_loops, by_torch
from medpipe_plugins.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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
        # What was done since the start, and since each box was erased: (1 + boxes, batch, 3, 4).
        self._maps: Any = maps.unit(1, count)
        self._boxes: list[tuple[Any, ...]] = []  # rows, start, stop
        self._moved = np.zeros(count, np.bool_)
        self._mirrored = np.zeros((count, 3), np.bool_)
        if watched(volumes):
            self._let_torch_see()

    @property
    def seen(self) -> bool:
        """Whether torch composes the maps, because one is learned or somebody watches."""
        return isinstance(self._maps, Tensor)

    def move(self, rows: Tensor, matrix: Tensor | NDArray[np.float64]) -> None:
        """Move the content of some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            matrix: Where a voxel goes, `(count, 3, 4)`, as `resample` takes it. An array is for
                what needs no gradient.
        """
        if isinstance(matrix, Tensor) and matrix.requires_grad and not self.seen:
            self._let_torch_see()
        if self.seen:
            matrix = torch.as_tensor(matrix).to(self._maps)
        elif isinstance(matrix, Tensor):
            matrix = _array(matrix)
        where = self._where(rows)
        self._moved[where] = True
        with uncast(self.volumes):
            self._maps = maps.composed(self._maps, where, matrix)

    def mirror(self, rows: Tensor, axis: int) -> None:
        """Mirror some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            axis: -3 for depth, -2 for height, -1 for width.
        """
        where = self._where(rows)
        self._mirrored[where, axis] ^= True
        last = sizes(self.volumes)[axis] - 1
        # Axis −1 is x, −2 is y, −3 is z.
        self._maps = maps.mirrored(self._maps, where, -1 - axis, last)

    def erase(self, rows: Tensor, start: Tensor, stop: Tensor) -> None:
        """Set a box to 0 in some volumes.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            start: First voxel along (width, height, depth), `(count, 3)`.
            stop: The voxel after the last, `(count, 3)`.
        """
        size = start.new_tensor(self.volumes.shape[:1:-1])
        # Beyond the border nothing is left that an interpolation could bring back in.
        start = torch.where(start <= 0, -torch.inf, start)
        stop = torch.where(stop >= size, torch.inf, stop)
        unit: Any = maps.unit(1, self._count)
        if self.seen:
            unit = torch.from_numpy(unit).to(self._maps)
            self._maps = torch.cat((self._maps, unit))
        else:
            self._maps = np.concatenate((self._maps, unit))
        edges = (edge if self.seen else _array(edge) for edge in (start, stop))
        self._boxes.append((rows.numpy(), *edges))

    def result(self) -> Tensor:
        """Apply it all."""
        with uncast(self.volumes):
            composed = self._composed()
            way = "torch" if self.seen else route(self.volumes)
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
        back = maps.inverse(self._maps)
        return Composed(
            moved=self._moved,
            mirrored=self._mirrored & ~self._moved[:, None],
            back=back[0],
            boxes=[
                Box(rows, after[rows], start, stop)
                for (rows, start, stop), after in zip(self._boxes, back[1:], strict=True)
            ],
        )

    def _let_torch_see(self) -> None:
        """Go on with tensors."""
        self._maps = torch.from_numpy(self._maps).to(self.volumes.device, self.dtype)
        self._boxes = [
            (rows, *(torch.from_numpy(edge).to(self._maps) for edge in edges))
            for rows, *edges in self._boxes
        ]

    def _where(self, rows: Tensor) -> Any:
        """Return an index of some volumes: a slice for all of them, which copies nothing."""
        return slice(None) if rows.size(0) == self._count else rows.numpy()


class Composable3D(Augmentation3D):
    """An operation that says what it does by joining a `Warp`."""

    fusion: ClassVar[type[Fusion] | None] = Warp

    def join(self, fusion: Warp, rows: Tensor, *draw: Any) -> None:
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

    def join(self, fusion: Warp, rows: Tensor, *draw: Any) -> None:
        """Move the volumes by the matrix."""
        wide = [row.to(fusion.dtype) if row.is_floating_point() else row for row in draw]
        with uncast(fusion.volumes):
            matrix = self.matrix(fusion.alike(len(rows), wide), *wide)
        fusion.move(rows, matrix)


def _array(numbers: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = numbers.detach().to("cpu", torch.float64).numpy()
    return array
