"""Carrying out a composed warp: by compiled loops, a kernel on a GPU, or torch's operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpipe_plugins.augment3d.compiled import erase_compiled, resample_compiled
from medpipe_plugins.augment3d.resampling import resample_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A box that is erased in some volumes.

    Attributes:
        rows: Which volumes, int64, rising.
        back: From a voxel of the result to the coordinates (x, y, z) in which the box is stated,
            `(count, 3, 4)`.
        start: Its first voxel, `(count, 3)`; −∞ at the border.
        stop: The voxel after its last, `(count, 3)`; ∞ at the border.
    """

    rows: NDArray[np.int64]
    back: Any
    start: Any
    stop: Any


@dataclass(frozen=True)
class Composed:
    """What is to be done to each volume of a batch.

    Maps and boxes are float64 arrays, or tensors on the volumes' device where torch sees them.

    Attributes:
        moved: Which volumes are resampled, `(batch,)`.
        mirrored: Along which of (depth, height, width) others are mirrored, `(batch, 3)`.
        back: Where each voxel comes from, `(batch, 3, 4)`, destination to source.
        boxes: What is erased then, in order.
    """

    moved: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    back: Any
    boxes: Sequence[Box]

    @property
    def moved_rows(self) -> NDArray[np.int64]:
        """The volumes that are resampled, rising."""
        return np.flatnonzero(self.moved)

    def only_mirrored(self) -> Iterator[tuple[list[int], tuple[int, ...]]]:
        """Yield volumes that are mirrored alike and not moved, with their axes."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for row in np.flatnonzero(self.mirrored.any(1)).tolist():
            axes = tuple(axis - 3 for axis in np.flatnonzero(self.mirrored[row]).tolist())
            alike.setdefault(axes, []).append(row)
        yield from ((rows, axes) for axes, rows in alike.items())


def by_loops(volumes: Tensor, composed: Composed) -> Tensor:
    """Return the result of the compiled loops.

    Args:
        volumes: `(batch, channel, depth, height, width)`, float32 on the CPU.
        composed: What is done to them, in arrays.
    """
    if not np.isfinite(composed.back).all():
        return by_torch(volumes, composed)
    given = volumes.detach().contiguous()
    rows = composed.moved_rows
    if len(rows) == len(given):
        out = torch.empty_like(given)
        resample_compiled(given, rows, composed.back, out)
    else:
        out = given.clone()
        if len(rows):
            resample_compiled(given, rows, composed.back[rows], out)
        frm, to = given.numpy(), out.numpy()
        for alike, axes in composed.only_mirrored():
            for row in alike:
                to[row] = np.flip(frm[row], axes)
    for box in composed.boxes:
        erase_compiled(out, box.rows, box.back, box.start, box.stop)
    return out


def by_kernel(volumes: Tensor, composed: Composed) -> Tensor:
    """Return the result of the kernel for GPUs, which is told everything in one table."""
    from medpipe_plugins.augment3d.on_gpu import warp_on_gpu

    table = torch.from_numpy(table_of(composed))
    # As small a copy does not wait for the device, though it is from ordinary memory.
    there = table.to(volumes.device, non_blocking=True)
    moved: Tensor = warp_on_gpu(volumes.contiguous(), there, len(composed.boxes))
    return moved


def table_of(composed: Composed) -> NDArray[np.float32]:
    """Return what the kernel is told of each volume, `(batch, 13 + 18 · boxes)`.

    First 1 where voxels move and else 0, and where they come from, `back`, row by row. Then for
    each box its own `back`, its start and its stop, (x, y, z); in a volume without it the start is
    ∞ and the stop −∞.
    """
    count = len(composed.moved)
    table = np.zeros((count, 13 + 18 * len(composed.boxes)), np.float32)
    table[:, 0] = composed.moved | composed.mirrored.any(1)
    table[:, 1:13] = composed.back.reshape(count, 12)
    for number, box in enumerate(composed.boxes):
        part = table[:, 13 + 18 * number : 31 + 18 * number]
        part[:, 12:15], part[:, 15:] = np.inf, -np.inf
        part[box.rows, :12] = box.back.reshape(-1, 12)
        part[box.rows, 12:15], part[box.rows, 15:] = box.start, box.stop
    return table


def by_torch(volumes: Tensor, composed: Composed) -> Tensor:
    """Return the result of torch's operators; nothing is asked of the volumes' device."""
    result = volumes
    rows = composed.moved_rows
    if len(rows):
        result = resample_back(result, composed.back[rows], rows)
    for alike, axes in composed.only_mirrored():
        where = torch.tensor(alike).to(volumes.device, non_blocking=True)
        changed = volumes.index_select(0, where).flip(axes)
        result = _own(result, volumes).index_copy_(0, where, changed)
    for box in composed.boxes:
        result = _erased(_own(result, volumes), box)
    return result


def _own(result: Tensor, volumes: Tensor) -> Tensor:
    """Return what may be written into: the volumes that came in may not."""
    contiguous = torch.contiguous_format
    return result.clone(memory_format=contiguous) if result is volumes else result


def _erased(volumes: Tensor, box: Box) -> Tensor:
    """Erase a box, in place."""
    kept = (1 - _share(volumes, box)).to(volumes.dtype)
    if len(box.rows) == len(volumes):
        return volumes.mul_(kept)
    where = torch.from_numpy(box.rows).to(volumes.device, non_blocking=True)
    return volumes.index_copy_(0, where, volumes.index_select(0, where) * kept)


def _share(volumes: Tensor, box: Box) -> Tensor:
    """Return how much of each voxel lies in the box, `(count, 1, D, H, W)` or broadcast."""
    dtype = torch.promote_types(volumes.dtype, torch.float32)
    back, start, stop = (
        torch.as_tensor(edge).to(volumes.device, dtype, non_blocking=True)
        for edge in (box.back, box.start, box.stop)
    )
    share: Tensor = torch.ones((), dtype=back.dtype, device=back.device)
    for row in range(3):
        place = back[:, row, 3].view(-1, 1, 1, 1, 1)
        for column in range(3):
            if not isinstance(box.back, Tensor) and not box.back[:, row, column].any():
                continue  # so that a box along the axes stays a product of three lines
            size = volumes.shape[4 - column]
            index = torch.arange(size, dtype=back.dtype, device=back.device)
            shape = [-1 if axis == 4 - column else 1 for axis in range(5)]
            place = place + back[:, row, column].view(-1, 1, 1, 1, 1) * index.view(shape)
        low = (start[:, row] - 1).view(-1, 1, 1, 1, 1)
        high = stop[:, row].view(-1, 1, 1, 1, 1)
        share = share * torch.minimum(place - low, high - place).clamp(0, 1)
    return share
