"""Resampling a batch of volumes, each by its own matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from medpipe_plugins.augment3d.base import exact, uncast
from medpipe_plugins.augment3d.compiled import resample_compiled, spread_compiled
from medpipe_plugins.augment3d.maps import inverse
from medpipe_plugins.augment3d.routes import route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def resample(volumes: Tensor, matrix: Tensor) -> Tensor:
    """Move each volume's content as its matrix says, in one trilinear interpolation.

    The matrices of several operations, multiplied, cost no more than one of them. Differentiable
    in both arguments. With the extra `fast`, float32 volumes on a CPU take a tenth of the time; on
    a GPU with Triton a kernel does it where the matrix needs no gradient.

    Args:
        volumes: `(batch, channel, depth, height, width)`. Axes of length 1 are one voxel thick.
        matrix: `(batch, 3, 4)`, where a voxel goes, from source to destination, in voxel
            coordinates (x, y, z) = (width, height, depth) with 0 at the centre of the first voxel;
            as kornia's `warp_affine3d`, which this agrees with.

    Returns:
        Volumes of the same shape and dtype; what comes from outside the field of view is 0.
    """
    return resample_rows(volumes, matrix, torch.arange(len(volumes)))


def resample_rows(volumes: Tensor, matrix: Tensor, rows: Tensor) -> Tensor:
    """Return the batch with some volumes resampled, the others as they are; see `resample`.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
        matrix: One for each of `rows`, `(count, 3, 4)`.
        rows: Which volumes, `(count,)`, rising, on the CPU.
    """
    with uncast(volumes):
        return resample_back(volumes, inverse(matrix.to(exact(volumes.dtype))), rows)


def resample_back(volumes: Tensor, back: Any, rows: Any) -> Tensor:
    """Return the batch with some volumes resampled by the inverses of their matrices.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
        back: Where each voxel comes from, destination to source, one for each of `rows`,
            `(count, 3, 4)`: a tensor, or an array, which needs no gradient.
        rows: Which volumes, `(count,)`, rising, on the CPU: likewise.
    """
    learned = isinstance(back, Tensor) and back.requires_grad
    way = route(volumes)
    if way == "compiled" and not learned:
        back, rows = (np.asarray(found) for found in (back, rows))
        if np.isfinite(back).all():
            resampled: Tensor = _Compiled.apply(volumes, back, rows)  # type: ignore[no-untyped-call]
            return resampled
    if way == "launched" and not learned:
        return _by_kernel(volumes, torch.as_tensor(back), torch.as_tensor(rows))
    there = torch.as_tensor(back).to(volumes.device, exact(volumes.dtype), non_blocking=True)
    if len(rows) == len(volumes):
        return _by_torch(volumes, there)
    where = torch.as_tensor(rows).to(volumes.device, non_blocking=True)
    return volumes.index_copy(0, where, _by_torch(volumes.index_select(0, where), there))


def _by_kernel(volumes: Tensor, back: Tensor, rows: Tensor) -> Tensor:
    from medpipe_plugins.augment3d.on_gpu import warp_on_gpu

    moves = back.to(volumes.device, torch.float32, non_blocking=True).reshape(-1, 12)
    table = torch.cat((torch.ones_like(moves[:, :1]), moves), 1)
    if len(rows) < len(volumes):
        where = rows.to(volumes.device, non_blocking=True)
        table = table.new_zeros(len(volumes), 13).index_copy(0, where, table)
    resampled: Tensor = warp_on_gpu(volumes.contiguous(), table, 0)
    return resampled


def _by_torch(volumes: Tensor, back: Tensor) -> Tensor:
    grid = _sampling_grid(volumes.shape, back)
    sampled = F.grid_sample(volumes.to(back.dtype), grid, padding_mode="zeros", align_corners=False)
    return sampled.to(volumes.dtype)


def _sampling_grid(shape: Sequence[int], back: Tensor) -> Tensor:
    """Return where each voxel of the result is read, `(count, D, H, W, 3)`, edges at −1 and 1.

    A sum over the three axes by broadcasting: a third of the time of `affine_grid`'s product.
    """
    lengths = tuple(shape[:1:-1])  # width, height, depth, as the rows of the matrix
    size = torch.tensor(lengths, dtype=back.dtype).to(back.device, non_blocking=True)
    centre = (size - 1) / 2
    origin = (back[:, :, :3] * centre).sum(-1) + back[:, :, 3] - centre
    grid: Tensor = (origin * 2 / size).view(-1, 1, 1, 1, 3)
    for row in (2, 1, 0):  # smallest summands first
        numbers = torch.arange(lengths[row], dtype=back.dtype, device=back.device)
        offsets = numbers - centre[row]
        step = (back[:, :, row] * 2 / size).view(-1, 1, 1, 1, 3)
        grid = grid + step * offsets.view([-1 if axis == 3 - row else 1 for axis in range(5)])
    return grid


class _Compiled(torch.autograd.Function):
    """The compiled loop, and its transpose: it is linear in the volumes."""

    @staticmethod
    def forward(
        ctx: Any, volumes: Tensor, back: NDArray[np.floating], rows: NDArray[np.int64]
    ) -> Tensor:
        ctx.told = rows, back
        volumes = volumes.contiguous()
        out = torch.empty_like(volumes) if len(rows) == len(volumes) else volumes.clone()
        resample_compiled(volumes, rows, back, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.contiguous()
        to_volumes = gradient.clone()
        rows, back = ctx.told
        spread_compiled(gradient, rows, back, to_volumes)
        return to_volumes, None, None
