"""Affine maps of voxels, `(…, 3, 4)`: float64 arrays, or tensors where torch has to see them.

A policy's maps are a few hundred numbers. On the CPU numpy composes them in a fraction of what
torch's small operators take, and nothing is asked of the volumes' device; tensors are for draws
that are learned or watched. Every function takes either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Maps = NDArray[np.float64] | Tensor


def unit(*shape: int) -> NDArray[np.float64]:
    """Return maps that move nothing, `(*shape, 3, 4)`."""
    maps = np.zeros((*shape, 12))
    maps[..., ::5] = 1
    return maps.reshape(*shape, 3, 4)


def composed(maps: Any, rows: Any, after: Any) -> Any:
    """Return maps with others after those of some rows.

    Args:
        maps: `(chain, batch, 3, 4)`; may be written into.
        rows: Which of the batch, or `slice(None)`.
        after: `(count, 3, 4)`.
    """
    product = after[:, :, :3] @ maps[:, rows]
    product[..., 3] += after[:, :, 3]
    if isinstance(rows, slice):
        return product
    maps[:, rows] = product
    return maps


def mirrored(maps: Any, rows: Any, axis: int, last: int) -> Any:
    """Return maps with a mirror after those of some rows; they may be written into.

    Args:
        maps: `(chain, batch, 3, 4)`.
        rows: Which of the batch, or `slice(None)`.
        axis: 0 for x, 1 for y, 2 for z.
        last: The last voxel along it, where the first goes.
    """
    part = -maps[:, rows, axis]
    part[..., 3] += last
    maps[:, rows, axis] = part
    return maps


def inverse(maps: Any) -> Any:
    """Return where voxels come from: the inverse of `(…, 3, 4)`, in the same form."""
    if isinstance(maps, Tensor):
        square = torch.linalg.inv(maps[..., :3])
        return torch.cat((square, -square @ maps[..., 3:]), -1)
    back = np.empty_like(maps)
    back[..., :3] = np.linalg.inv(maps[..., :3])
    back[..., 3:] = -back[..., :3] @ maps[..., 3:]
    return back
