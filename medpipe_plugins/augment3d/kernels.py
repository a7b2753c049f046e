"""The loops of resampling and erasing, for numba to compile.

torch's `grid_sample` reads three coordinates for each voxel from memory and asks of each of its
eight neighbours whether it lies inside. Here a matrix is known, so that along one line of the
result coordinates grow by a fixed step, and the columns that see anything of the volume are one
interval, found by a product for each axis. A volume is copied into a frame of zeros first, which
costs a tenth of the rest, so that in this interval no neighbour lies outside what may be read. A
turn about one axis, or a shift by whole voxels, meets voxel centres along that axis, and has four
neighbours instead of eight.

`spread` is the transpose of `resample`: the gradient by the volumes.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medpipe_plugins.compiled_cache import kept

if TYPE_CHECKING:
    from collections.abc import Callable

# Voxels of zeros on each side: what sees anything lies less than one outside, and float32 rounds.
_FRAME = 2
# A step that moves no coordinate by anything that could be told, however long the line.
_NO_STEP = 1e-12
# One that leaves any volume behind; beyond it float32 may overflow.
_FAR = 1e9


class Kernels(NamedTuple):
    """Compiled loops over arrays `(batch, channel, depth, height, width)`, float32, contiguous."""

    resample: Callable[..., None]
    spread: Callable[..., None]
    erase: Callable[..., None]


@functools.cache
def kernels() -> Kernels:
    """Return the loops; each takes a second or so at its first call ever."""
    from numba import njit

    from medpipe_plugins.augment3d.vectors import LANES, SHARES, vectors

    compile_: Any = njit(nogil=True, fastmath={"contract"}, error_model="numpy")
    columns, inverses = compile_(_columns), compile_(_inverses)
    line_start, in_frame, steps = compile_(_line_start), compile_(_in_frame), compile_(_steps)
    framed_line, spread_line = compile_(_framed_line), compile_(_spread_line)
    place, blend, blend_row, blend_plane = vectors()

    def resample(
        volumes: Any, rows: Any, back: Any, out: Any, first_plane: int, last_plane: int
    ) -> None:
        channels, depth, height, width = volumes.shape[1:]
        row = width + 2 * _FRAME
        plane = row * (height + 2 * _FRAME)
        support = (1.0 * width, 1.0 * height, 1.0 * depth)
        framed = np.zeros(plane * (depth + 2 * _FRAME), np.float32)
        cells = np.empty(width + LANES, np.int32)
        shares = np.empty(SHARES * (width + LANES), np.float32)
        line = np.empty(width + LANES, np.float32)
        flat, to = volumes.reshape(-1), out.reshape(-1)
        plane_now = first_plane
        while plane_now < last_plane:
            n = plane_now // depth
            first, last = plane_now % depth, min(depth, last_plane - n * depth)
            plane_now += last - first
            step = (back[n, 0, 0], back[n, 1, 0], back[n, 2, 0])
            per_step, step32 = inverses(step), steps(step)
            for c in range(channels):
                volume = (rows[n] * channels + c) * depth * height * width
                for n_line in range(depth * height):
                    frm = volume + n_line * width
                    at = framed_line(n_line, height, width)
                    for w in range(width):
                        framed[np.uint64(at + w)] = flat[np.uint64(frm + w)]
                for at in range(volume + first * height * width, volume + last * height * width):
                    to[np.uint64(at)] = 0
                for d in range(first, last):
                    for h in range(height):
                        start = line_start(back[n], d, h)
                        begin, end = columns(start, per_step, (-1.0, -1.0, -1.0), support, width)
                        if begin >= end:
                            continue
                        count = end - begin
                        origin, last_column = in_frame(start, step, begin), np.float32(count - 1)
                        for w in range(0, count, LANES):
                            place(cells, shares, w, last_column, origin, step32, row, plane)
                        # Not functions of their own: what they are handed would stay in memory.
                        if step32[2] == 0 and origin[2] == math.floor(origin[2]):
                            for w in range(0, count, LANES):
                                blend_row(framed, line, cells, shares, w, row, plane)
                        elif step32[1] == 0 and origin[1] == math.floor(origin[1]):
                            for w in range(0, count, LANES):
                                blend_plane(framed, line, cells, shares, w, row, plane)
                        else:
                            for w in range(0, count, LANES):
                                blend(framed, line, cells, shares, w, row, plane)
                        at = volume + (d * height + h) * width + begin
                        for w in range(count):
                            to[np.uint64(at + w)] = line[np.uint64(w)]

    def spread(
        gradient: Any, rows: Any, back: Any, out: Any, first_row: int, last_row: int
    ) -> None:
        channels, depth, height, width = gradient.shape[1:]
        row = width + 2 * _FRAME
        plane = row * (height + 2 * _FRAME)
        support = (1.0 * width, 1.0 * height, 1.0 * depth)
        framed = np.empty(plane * (depth + 2 * _FRAME), np.float32)
        for n in range(first_row, last_row):
            step = (back[n, 0, 0], back[n, 1, 0], back[n, 2, 0])
            per_step, step32 = inverses(step), steps(step)
            for c in range(channels):
                for at in range(len(framed)):
                    framed[at] = 0
                for d in range(depth):
                    for h in range(height):
                        start = line_start(back[n], d, h)
                        begin, end = columns(start, per_step, (-1.0, -1.0, -1.0), support, width)
                        if begin < end:
                            origin = in_frame(start, step, begin)
                            line = gradient[rows[n], c, d, h, begin:end]
                            spread_line(line, framed, origin, step32, row, plane)
                volume = out[rows[n], c].reshape(-1)
                for n_line in range(depth * height):
                    frm = framed_line(n_line, height, width)
                    for w in range(width):
                        volume[np.uint64(n_line * width + w)] = framed[np.uint64(frm + w)]

    def erase(volumes: Any, rows: Any, back: Any, start: Any, stop: Any) -> None:
        channels, depth, height, width = volumes.shape[1:]
        for n in range(len(rows)):
            m = back[n]
            step = (m[0, 0], m[1, 0], m[2, 0])
            per_step = inverses(step)
            low = (start[n, 0] - 1, start[n, 1] - 1, start[n, 2] - 1)
            high = (stop[n, 0], stop[n, 1], stop[n, 2])
            for d in range(depth):
                for h in range(height):
                    first = line_start(m, d, h)
                    begin, end = columns(first, per_step, low, high, width)
                    for w in range(begin, end):
                        gone = 1.0
                        for axis in range(3):
                            place = first[axis] + step[axis] * w
                            edge = min(place - low[axis], high[axis] - place)
                            gone *= min(max(edge, 0.0), 1.0)
                        for c in range(channels):
                            volumes[rows[n], c, d, h, w] *= np.float32(1 - gone)

    return Kernels(*(kept(compile_(loop)) for loop in (resample, spread, erase)))


def _line_start(back: Any, plane: int, row: int) -> tuple[float, float, float]:
    """Return where the first voxel of a line comes from, (x, y, z)."""
    return (
        back[0, 1] * row + back[0, 2] * plane + back[0, 3],
        back[1, 1] * row + back[1, 2] * plane + back[1, 3],
        back[2, 1] * row + back[2, 2] * plane + back[2, 3],
    )


def _inverses(step: Any) -> tuple[float, float, float]:
    """Return 1 / step for each axis, 0 where the step moves nothing."""
    return (
        1 / step[0] if abs(step[0]) > _NO_STEP else 0.0,
        1 / step[1] if abs(step[1]) > _NO_STEP else 0.0,
        1 / step[2] if abs(step[2]) > _NO_STEP else 0.0,
    )


def _columns(start: Any, per_step: Any, low: Any, high: Any, width: int) -> tuple[int, int]:
    """Return the columns [begin, end) of a line at which low ≤ start + step · column ≤ high."""
    begin, last = 0.0, width - 1.0
    for axis in range(3):
        if per_step[axis] == 0:
            if start[axis] < low[axis] or start[axis] > high[axis]:
                return 0, 0
        else:
            one = (low[axis] - start[axis]) * per_step[axis]
            other = (high[axis] - start[axis]) * per_step[axis]
            begin, last = max(begin, min(one, other)), min(last, max(one, other))
    if begin > last:
        return 0, 0
    return math.ceil(begin), math.floor(last) + 1


def _in_frame(start: Any, step: Any, column: int) -> tuple[Any, Any, Any]:
    """Return where a column of a line lies in the frame."""
    return (
        np.float32(start[0] + step[0] * column + _FRAME),
        np.float32(start[1] + step[1] * column + _FRAME),
        np.float32(start[2] + step[2] * column + _FRAME),
    )


def _steps(step: Any) -> tuple[Any, Any, Any]:
    """Return the steps in float32."""
    return (
        np.float32(min(max(step[0], -_FAR), _FAR)),
        np.float32(min(max(step[1], -_FAR), _FAR)),
        np.float32(min(max(step[2], -_FAR), _FAR)),
    )


def _framed_line(line: int, height: int, width: int) -> int:
    """Return where a line of a volume begins in its frame."""
    plane = (line // height + _FRAME) * (height + 2 * _FRAME)
    return (plane + line % height + _FRAME) * (width + 2 * _FRAME) + _FRAME


def _spread_line(line: Any, framed: Any, start: Any, step: Any, row: int, plane: int) -> None:
    """Add the values of a line to their eight neighbours, by their weights."""
    right, below, behind = np.uint32(1), np.uint32(row), np.uint32(plane)
    for w in range(len(line)):
        column = np.float32(w)
        x = start[0] + step[0] * column
        y = start[1] + step[1] * column
        z = start[2] + step[2] * column
        i, j, k = np.int32(x), np.int32(y), np.int32(z)
        u, v, t = x - np.float32(i), y - np.float32(j), z - np.float32(k)
        at = np.uint32(k * plane + j * row + i)  # signed, it would be checked for its sign
        far = t * line[w]
        near = line[w] - far
        for value in (near, far):
            b = v * value
            a = value - b
            framed[at] += a - u * a
            framed[at + right] += u * a
            framed[at + below] += b - u * b
            framed[at + below + right] += u * b
            at += behind
