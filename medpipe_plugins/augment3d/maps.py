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


def unit(*shape: int) -> NDArray[np.float64]:
    """Return maps that move nothing, `(*shape, 3, 4)`."""
    maps = np.zeros((*shape, 12))
    maps[..., ::5] = 1
    return maps.reshape(*shape, 3, 4)


def after(back: Any, rows: Any, undo: Any) -> Any:
    """Return where voxels come from after one more map of some volumes.

    Args:
        back: Where they came from before it, `(chain, batch, 3, 4)`; may be written into.
        rows: Which of the batch, or `slice(None)`.
        undo: The inverses of the maps, `(count, 3, 4)`.
    """
    part = back[:, rows]
    product = part[..., :3] @ undo
    product[..., 3] += part[..., 3]
    if isinstance(rows, slice):
        return product
    back[:, rows] = product
    return back


def mirror(back: Any, rows: Any, axis: int) -> None:
    """Mirror some volumes about the origin; axis 0 is x, 1 is y, 2 is z. Writes into `back`."""
    part = back[:, rows]
    part[..., axis] *= -1
    _put(back, rows, part)


def turn(back: Any, rows: Any, axes: tuple[int, int], cos: Any, down: Any, up: Any) -> None:
    """Turn some volumes about the origin, in the plane of two axes. Writes into `back`.

    Args:
        back: `(chain, batch, 3, 4)`.
        rows: Which of the batch, or `slice(None)`.
        axes: The axis that turns, and the one that it turns to.
        cos: The matrix's two diagonal entries, `(count, 1)`; its determinant is 1.
        down: What goes from the first to the second, likewise.
        up: What goes from the second to the first.
    """
    one, other = axes
    part = back[:, rows]
    first, second = part[..., one], part[..., other]
    turned = first * cos - second * down
    part[..., other] = second * cos - first * up
    part[..., one] = turned
    _put(back, rows, part)


def scale(back: Any, rows: Any, factor: Any) -> None:
    """Scale some volumes about the origin by factors, `(count, 1, 1)`. Writes into `back`."""
    part = back[:, rows]
    part[..., :3] /= factor
    _put(back, rows, part)


def shift(back: Any, rows: Any, by: Any) -> None:
    """Shift some volumes by so many voxels, `(count, 3)`. Writes into `back`."""
    part = back[:, rows]
    part[..., 3] -= (part[..., :3] @ by[..., None])[..., 0]
    _put(back, rows, part)


def moved_origin(maps: Any, origin: Any) -> Any:
    """Return the same maps, `(…, 3, 4)`, in coordinates that begin elsewhere, `(3,)`.

    Args:
        maps: A map x → A x + t.
        origin: Where the new coordinates begin in the present ones.
    """
    moved = maps.clone() if isinstance(maps, Tensor) else maps.copy()
    moved[..., 3] += maps[..., :3] @ origin - origin
    return moved


def inverse(maps: Any) -> Any:
    """Return where voxels come from: the inverse of `(…, 3, 4)`, in the same form."""
    if isinstance(maps, Tensor):
        square = torch.linalg.inv(maps[..., :3])
        return torch.cat((square, -square @ maps[..., 3:]), -1)
    back = np.empty_like(maps)
    back[..., :3] = np.linalg.inv(maps[..., :3])
    back[..., 3:] = -back[..., :3] @ maps[..., 3:]
    return back


def _put(back: Any, rows: Any, part: Any) -> None:
    """Write back what was a copy; a slice is none."""
    if not isinstance(rows, slice):
        back[:, rows] = part
