"""Moves of the voxels of a batch that torch composes: one is learned, or somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from medpipe_plugins.augment3d import maps
from medpipe_plugins.augment3d.warping import Box, Composed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]


class SeenMoves:
    """What is done to the voxels of a batch, composed move by move on the volumes' device.

    Rows say which volumes, int64, rising, on the CPU.

    Args:
        so_far: What was done before, in coordinates that begin at the volumes' centre.
        device: Where to compose.
        dtype: In which precision.
    """

    def __init__(self, so_far: Composed, device: torch.device, dtype: torch.dtype) -> None:
        # Where voxels come from, since the start and since each box was erased: (1 + boxes, batch,
        # 3, 4), in coordinates that begin at the volume's centre, where turns leave it.
        back = maps.unit(1 + len(so_far.boxes), len(so_far.moved))
        back[0] = so_far.back
        for chain, box in zip(back[1:], so_far.boxes, strict=True):
            chain[box.rows] = box.back
        self._back = torch.from_numpy(back).to(device, dtype)
        self._boxes = [(box.rows, *self._edges(box.start, box.stop)) for box in so_far.boxes]
        self._moved, self._mirrored = so_far.moved, so_far.mirrored

    def mirror(self, rows: Rows, axis: int) -> None:
        """Mirror volumes along an axis; 0 is x, 1 is y, 2 is z."""
        self._mirrored[rows, 2 - axis] ^= True
        maps.mirror(self._back, self._where(rows), axis)

    def move(self, rows: Rows, matrix: Tensor, centre: NDArray[np.float64]) -> None:
        """Move volumes by matrices, `(count, 3, 4)`, source to destination in voxels (x, y, z)."""
        self._moved[rows] = True
        inverse = maps.inverse(matrix.to(self._back))
        undo = maps.moved_origin(inverse, self._back.new_tensor(centre))
        self._back = maps.after(self._back, self._where(rows), undo)

    def erase(self, rows: Rows, start: Any, stop: Any) -> None:
        """Erase a box; of each volume its first voxel, and the one after its last, `(count, 3)`."""
        unit = torch.from_numpy(maps.unit(1, len(self._moved))).to(self._back)
        self._back = torch.cat((self._back, unit))
        self._boxes.append((rows, *self._edges(start, stop)))

    def composed(self, size: Sequence[float], centre: Sequence[float]) -> Composed:
        """Return all of it; the arguments are those of `Moves.composed`."""
        middle, length = (self._back.new_tensor(numbers) for numbers in (centre, size))
        back = maps.moved_origin(self._back, -middle)
        boxes = []
        for (rows, start, stop), after in zip(self._boxes, back[1:], strict=True):
            # Boxes that meet the border go on: nothing is left there to be interpolated in.
            first = torch.where(start <= 0, -torch.inf, start)
            boxes.append(
                Box(rows, after[rows], first, torch.where(stop >= length, torch.inf, stop))
            )
        return Composed(
            moved=self._moved,
            mirrored=self._mirrored & ~self._moved[:, None],
            back=back[0],
            boxes=boxes,
        )

    def _edges(self, start: Any, stop: Any) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(start).to(self._back), torch.as_tensor(stop).to(self._back)

    def _where(self, rows: Rows) -> Any:
        """Return an index of some volumes: a slice for all of them, which copies nothing."""
        return slice(None) if len(rows) == len(self._moved) else rows
