"""Moves of the voxels of a batch, gathered as numbers and composed in one go.

A policy's maps are a few hundred numbers, and what composing them takes is Python and calls of
numpy. So an operation leaves its numbers, and one compiled loop composes all of them; without numba
numpy does it move by move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.augment3d import maps
from medpipe_plugins.augment3d.moves_loop import (
    ERASE,
    MIRROR,
    MOVE,
    NUMBERS,
    SCALE,
    SHIFT,
    TURN,
    compose_moves,
)
from medpipe_plugins.augment3d.warping import Box, Composed
from medpipe_plugins.numba_extra import has_numba

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Numbers = NDArray[np.floating]


class Moves:
    """What is done to the voxels of a batch, in order.

    Coordinates are (x, y, z), and axes are numbered so; rows say which volumes, int64, rising.

    Args:
        count: How many volumes there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._steps: list[tuple[int, int, int, int]] = []  # kind, axis, other axis, volumes
        self._factors: list[float] = []
        self._rows: list[Rows] = []
        self._numbers: list[Numbers] = []

    def turn(self, rows: Rows, axes: tuple[int, int], degrees: Numbers, longer: float) -> None:
        """Turn volumes about their centre; see `Warp.turn`."""
        self._add(TURN, rows, degrees, axes=axes, factor=longer)

    def scale(self, rows: Rows, factor: Numbers) -> None:
        """Scale volumes about their centre by factors, `(count,)`."""
        self._add(SCALE, rows, factor)

    def shift(self, rows: Rows, voxels: Numbers) -> None:
        """Shift volumes by so many voxels, `(count, 3)`."""
        self._add(SHIFT, rows, voxels)

    def mirror(self, rows: Rows, axis: int) -> None:
        """Mirror volumes along an axis."""
        self._add(MIRROR, rows, axes=(axis, axis))

    def move(self, rows: Rows, undo: Numbers) -> None:
        """Move volumes, by where voxels come from about the centre, `(count, 3, 4)`."""
        self._add(MOVE, rows, undo)

    def erase(self, rows: Rows, start: Numbers, stop: Numbers) -> None:
        """Erase a box; of each volume its first voxel, and the one after its last, `(count, 3)`."""
        self._add(ERASE, rows, start, stop)

    def composed(self, size: Sequence[float], centre: Sequence[float]) -> Composed:
        """Compose all of it.

        Args:
            size: Length of the volumes' axes, in voxels.
            centre: Where their centre is in the coordinates of the result.
        """
        count = self._count
        kinds = [kind for kind, *_ in self._steps]
        back = np.empty((1 + kinds.count(ERASE), count, 3, 4))
        moved, mirrored = np.zeros(count, np.bool_), np.zeros((count, 3), np.bool_)
        numbers = np.concatenate((_NO_NUMBERS, *self._numbers), axis=None, dtype=np.float64)
        (compose_moves() if has_numba() else compose_plainly)(
            np.array(self._steps, np.int64).reshape(-1, 4),
            np.array(self._factors, np.float64),
            np.concatenate((_NO_ROWS, *self._rows)),
            numbers,
            np.array((size, centre), np.float64),
            back,
            moved,
            mirrored,
        )
        boxes: list[Box] = []
        end = 0
        for (kind, _, _, of), rows in zip(self._steps, self._rows, strict=True):
            first, end = end, end + of * NUMBERS[kind]
            if kind == ERASE:
                start, stop = numbers[first:end].reshape(2, of, 3)
                boxes.append(Box(rows, back[len(boxes) + 1][rows], start, stop))
        return Composed(moved=moved, mirrored=mirrored, back=back[0], boxes=boxes)

    def _add(
        self,
        kind: int,
        rows: Rows,
        *numbers: Numbers,
        axes: tuple[int, int] = (0, 0),
        factor: float = 1.0,
    ) -> None:
        self._steps.append((kind, *axes, len(rows)))
        self._factors.append(factor)
        self._rows.append(rows)
        self._numbers.extend(numbers)


_NO_ROWS, _NO_NUMBERS = np.empty(0, np.int64), np.empty(0)


def compose_plainly(
    steps: Any, factors: Any, rows: Any, numbers: Any, frame: Any, back: Any, moved: Any,
    mirrored: Any,
) -> None:  # fmt: skip
    """Compose moves by numpy; the arguments are those of `compose_moves`."""
    back[:] = maps.unit(*back.shape[:2])
    size, centre = frame
    chains, first, end = 1, 0, 0
    for (kind, one, other, count), factor in zip(steps.tolist(), factors.tolist(), strict=True):
        where, first = rows[first : first + count], first + count
        told, end = numbers[end : end + count * NUMBERS[kind]], end + count * NUMBERS[kind]
        if kind == ERASE:
            chains += 1
            start, stop = told.reshape(2, count, 3)
            start[start <= 0], stop[stop >= size] = -np.inf, np.inf
            continue
        so_far = back[:chains]
        if kind == MIRROR:
            mirrored[where, 2 - one] ^= True
            maps.mirror(so_far, where, one)
            continue
        moved[where] = True
        if kind == TURN:
            angle = np.deg2rad(told)[:, None]
            cos, sin = np.cos(angle), np.sin(angle)
            maps.turn(so_far, where, (one, other), cos, sin * factor, sin * (-1 / factor))
        elif kind == SCALE:
            maps.scale(so_far, where, told[:, None, None])
        elif kind == SHIFT:
            maps.shift(so_far, where, told.reshape(count, 3))
        else:
            maps.after(so_far, where, told.reshape(count, 3, 4))
    mirrored &= ~moved[:, None]
    back[:] = maps.moved_origin(back, -centre)
