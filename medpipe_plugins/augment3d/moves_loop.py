"""The loop that composes the moves of a batch's voxels, for numba to compile."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.compiled_cache import kept

if TYPE_CHECKING:
    from collections.abc import Callable

TURN, SCALE, SHIFT, MOVE, MIRROR, ERASE = range(6)

NUMBERS = (1, 1, 3, 12, 0, 6)
"""How many numbers each kind has for a volume: degrees; a factor; voxels along (x, y, z); where
voxels come from, `(3, 4)`, row by row; none; a box's first voxel and the one after its last."""


@functools.cache
def compose_moves() -> Callable[..., None]:
    """Return the loop; it takes a second or so at its first call ever.

    It is called with the moves, `(move, 4)`, int64: kind, the axis that is mirrored or turns, the
    axis that this turns to, and of how many volumes; a float64 for each, by which voxels along
    the second axis of a turn are shorter; which volumes, move after move; their numbers, float64,
    move after move, those of boxes first all starts and then all stops; and the size of the
    volumes and their centre in the coordinates of the result, `(2, 3)`. It writes, for each volume:

    - where voxels come from, since the start and since each box was erased, `(1 + boxes, batch, 3,
      4)`, float64;
    - whether it is resampled, `(batch,)`;
    - along which of (depth, height, width) it is mirrored, where it is not, `(batch, 3)`;
    - and over the numbers of boxes that meet the border, that they go on beyond it, for nothing is
      left there to be interpolated in.

    The last two have to be all false before.
    """
    from numba import njit

    compile_: Any = njit(nogil=True, error_model="numpy")
    turn, then = compile_(_turn), compile_(_then)

    def loop(
        steps: Any, factors: Any, rows: Any, numbers: Any, frame: Any, back: Any, moved: Any,
        mirrored: Any,
    ) -> None:  # fmt: skip
        for c in range(back.shape[0]):
            for b in range(back.shape[1]):
                for i in range(3):
                    for j in range(4):
                        back[c, b, i, j] = i == j
        chains, first, at = 1, 0, 0
        for s in range(len(steps)):
            kind, one, other, count = steps[s, 0], steps[s, 1], steps[s, 2], steps[s, 3]
            if kind == ERASE:
                chains += 1
                for n in range(3 * count):
                    start, stop = at + n, at + 3 * count + n
                    if numbers[start] <= 0:
                        numbers[start] = -np.inf
                    if numbers[stop] >= frame[0, n % 3]:
                        numbers[stop] = np.inf
                first, at = first + count, at + 6 * count
                continue
            for b in rows[first : first + count]:
                if kind == MIRROR:
                    mirrored[b, 2 - one] ^= True
                else:
                    moved[b] = True
                for c in range(chains):
                    chain = back[c, b]
                    if kind == TURN:
                        turn(chain, one, other, numbers[at] * (math.pi / 180), factors[s])
                    elif kind == MOVE:
                        then(chain, numbers[at : at + 12])
                    else:
                        for i in range(3):
                            row = chain[i]
                            if kind == MIRROR:
                                row[one] *= -1
                            elif kind == SCALE:
                                for j in range(3):
                                    row[j] /= numbers[at]
                            else:  # SHIFT
                                for j in range(3):
                                    row[3] -= row[j] * numbers[at + j]
                at += NUMBERS[kind]
            first += count
        for b in range(len(moved)):
            if moved[b]:
                mirrored[b] = False
            for c in range(back.shape[0]):
                for i in range(3):
                    row = back[c, b, i]
                    row[3] += frame[1, i]
                    for j in range(3):
                        row[3] -= row[j] * frame[1, j]

    compiled: Callable[..., None] = kept(compile_(loop))
    return compiled


def _turn(chain: Any, one: int, other: int, angle: float, longer: float) -> None:
    """Turn about the origin, in the plane of two axes."""
    cos, sin = math.cos(angle), math.sin(angle)
    down, up = sin * longer, sin * (-1 / longer)
    for i in range(3):
        first, second = chain[i, one], chain[i, other]
        chain[i, one] = first * cos - second * down
        chain[i, other] = second * cos - first * up


def _then(chain: Any, undo: Any) -> None:
    """Move by a map of which this is the inverse, `(3, 4)` row by row."""
    for i in range(3):
        x, y, z = chain[i, 0], chain[i, 1], chain[i, 2]
        for j in range(3):
            chain[i, j] = x * undo[j] + y * undo[4 + j] + z * undo[8 + j]
        chain[i, 3] += x * undo[3] + y * undo[7] + z * undo[11]
