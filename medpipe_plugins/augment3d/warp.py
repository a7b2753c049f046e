"""Operations that move voxels, composed: one matrix for each volume and one resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from medpipe_core import Fusion
from medpipe_plugins.augment3d.base import Augmentation3D, exact, sizes, uncast
from medpipe_plugins.augment3d.compiled import can_compile, erase_compiled
from medpipe_plugins.augment3d.resampling import inverse, resample_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Warp(Fusion):
    """What neighbouring operations on a batch of volumes do to its voxels, composed.

    It differs from one operation after another by interpolation, of which there is one; and content
    that one operation takes out of the field of view is there again where the next brings it back.
    Volumes that were only mirrored are mirrored exactly, and those that nothing was done to stay as
    they are.

    An erased box lies where the matrices after it take it. With f the ramp that linear
    interpolation makes of a box, its edges one voxel wide, the result is (1 − f) · v, where one
    operation after another would interpolate the product instead.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
    """

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self.dtype = exact(volumes.dtype)
        self._matrix = self._unit()
        self._boxes: list[_Box] = []
        # These two are known without asking the device.
        self._moved = torch.zeros(len(volumes), dtype=torch.bool)
        self._mirrored = torch.zeros(len(volumes), 3, dtype=torch.bool)

    def move(self, rows: Tensor, matrix: Tensor) -> None:
        """Move the content of some volumes.

        Args:
            rows: Which volumes, `(count,)`, on the CPU.
            matrix: Where a voxel goes, `(count, 3, 4)`, as `resample` takes it.
        """
        self._moved[rows] = True
        with uncast(self.volumes):
            self._compose(rows, matrix.to(self.dtype))

    def mirror(self, rows: Tensor, axis: int) -> None:
        """Mirror some volumes.

        Args:
            rows: Which volumes, `(count,)`, on the CPU.
            axis: -3 for depth, -2 for height, -1 for width.
        """
        self._mirrored[rows, axis] ^= True
        row, size = -1 - axis, sizes(self.volumes)[axis]  # axis −1 is x, −2 is y, −3 is z
        for chain in self._chains():
            mirrored = chain[rows, row].neg_()
            mirrored[:, 3] += size - 1
            chain[rows, row] = mirrored

    def erase(self, rows: Tensor, start: Tensor, stop: Tensor) -> None:
        """Set a box to 0 in some volumes.

        Args:
            rows: Which volumes, `(count,)`, on the CPU.
            start: First voxel along (width, height, depth), `(count, 3)`.
            stop: The voxel after the last, `(count, 3)`.
        """
        size = start.new_tensor(self.volumes.shape[:1:-1])
        # Beyond the border nothing is left that an interpolation could bring back in.
        start = torch.where(start <= 0, -torch.inf, start)
        stop = torch.where(stop >= size, torch.inf, stop)
        self._boxes.append(_Box(rows, start, stop, self._unit()))

    def result(self) -> Tensor:
        """Apply it all."""
        with uncast(self.volumes):
            return self._result()

    def _result(self) -> Tensor:
        result = self.volumes
        moved = self._moved.nonzero().squeeze(1)
        if len(moved):
            result = resample_rows(result, self._matrix[moved], moved)
        for rows, axes in self._only_mirrored():
            where = rows.to(result.device)
            changed = self.volumes.index_select(0, where).flip(axes)
            result = self._own(result).index_copy_(0, where, changed)
        for box in self._boxes:
            result = box.erase_in(self._own(result))
        return result

    def _own(self, result: Tensor) -> Tensor:
        """Return what may be written into: the volumes that came in may not."""
        contiguous = torch.contiguous_format
        return result.clone(memory_format=contiguous) if result is self.volumes else result

    def _compose(self, rows: Tensor, matrix: Tensor) -> None:
        for chain in self._chains():
            if len(rows) == len(chain):
                chain.copy_(_product(matrix, chain.clone()))
            else:
                chain[rows] = _product(matrix, chain[rows])

    def _chains(self) -> Iterator[Tensor]:
        """Iterate over what was done since the start, and since each box was erased."""
        yield self._matrix
        yield from (box.after for box in self._boxes)

    def _only_mirrored(self) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
        """Yield volumes that are mirrored alike and not moved, with their axes."""
        mirrored = self._mirrored & ~self._moved[:, None]
        alike: dict[tuple[int, ...], list[int]] = {}
        for row, kind in enumerate(mirrored.tolist()):
            axes = tuple(axis - 3 for axis in range(3) if kind[axis])
            alike.setdefault(axes, []).append(row)
        alike.pop((), None)
        for axes, rows in alike.items():
            yield torch.tensor(rows), axes

    def _unit(self) -> Tensor:
        unit = torch.eye(3, 4, dtype=self.dtype, device=self.volumes.device)
        return unit.repeat(len(self.volumes), 1, 1)


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
            volumes: As many volumes as there are rows in the draw, of the right shape; their
                content is not to be looked at.
            draw: What `draw` returned, floating-point numbers in at least single precision.
        """
        raise NotImplementedError

    def join(self, fusion: Warp, rows: Tensor, *draw: Any) -> None:
        """Move the volumes by the matrix."""
        wide = [row.to(fusion.dtype) if row.is_floating_point() else row for row in draw]
        with uncast(fusion.volumes):
            matrix = self.matrix(fusion.volumes[: len(rows)], *wide)
        fusion.move(rows, matrix)


@dataclass(frozen=True)
class _Box:
    rows: Tensor
    start: Tensor
    stop: Tensor
    after: Tensor  # what was done to the volumes after it was erased, (batch, 3, 4)

    def erase_in(self, volumes: Tensor) -> Tensor:
        """Erase it, in place."""
        back = inverse(self.after[self.rows])
        if can_compile(volumes) and not volumes.requires_grad:
            erase_compiled(volumes, self.rows, back, self.start, self.stop)
            return volumes
        kept = (1 - self._share(volumes, back)).to(volumes.dtype)
        if len(self.rows) == len(volumes):
            return volumes.mul_(kept)
        where = self.rows.to(volumes.device)
        return volumes.index_copy_(0, where, volumes.index_select(0, where) * kept)

    def _share(self, volumes: Tensor, back: Tensor) -> Tensor:
        """Return how much of each voxel lies in the box, `(count, 1, D, H, W)` or broadcast."""
        share: Tensor = torch.ones((), dtype=back.dtype, device=back.device)
        for row in range(3):
            place = back[:, row, 3].view(-1, 1, 1, 1, 1)
            for column in range(3):
                factor = back[:, row, column].view(-1, 1, 1, 1, 1)
                if bool((factor == 0).all()):
                    continue  # so that a box along the axes stays a product of three lines
                size = volumes.shape[4 - column]
                index = torch.arange(size, dtype=back.dtype, device=back.device)
                shape = [-1 if axis == 4 - column else 1 for axis in range(5)]
                place = place + factor * index.view(shape)
            low = (self.start[:, row] - 1).view(-1, 1, 1, 1, 1)
            high = self.stop[:, row].view(-1, 1, 1, 1, 1)
            share = share * torch.minimum(place - low, high - place).clamp(0, 1)
        return share


def _product(after: Tensor, before: Tensor) -> Tensor:
    """Return the matrix, `(count, 3, 4)`, of one affine map after another."""
    product = after[:, :, :3] @ before
    product[:, :, 3:] += after[:, :, 3:]
    return product
