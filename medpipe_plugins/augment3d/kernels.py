"""The loops of resampling and erasing, for numba to compile.

torch's `grid_sample` reads three coordinates for each voxel from memory and asks of each of its
eight neighbours whether it lies inside. Here a matrix is known, so that along one line of the
result coordinates grow by a fixed step, and the columns that lie inside a box are one interval,
found by a product for each axis. Where all neighbours are inside no question is left; at the border
there is one for each neighbour. A turn about one axis, or a shift by whole voxels, meets voxel
centres along that axis, and has four neighbours instead of eight.

`spread` is the transpose of `resample`: the gradient by the volumes.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

# The interval without questions ends so much before the last voxel, as a share of the largest
# coordinate: float32 rounds three times on the way there.
_ROUNDING = 2.0**-20
# A step that moves no coordinate by anything that could be told, however long the line.
_NO_STEP = 1e-12


class Kernels(NamedTuple):
    """Compiled loops over arrays `(batch, channel, depth, height, width)`, float32, contiguous."""

    resample: Callable[..., None]
    spread: Callable[..., None]
    erase: Callable[..., None]


@functools.cache
def kernels() -> Kernels:
    """Return the loops; each takes a second or so at its first call."""
    from numba import njit

    compile_: Any = njit(nogil=True, fastmath={"contract"}, error_model="numpy")
    columns, border = compile_(_columns), compile_(_border)
    inside, in_plane = compile_(_inside), compile_(_in_plane)
    exact_axis, inverses = compile_(_exact_axis), compile_(_inverses)
    line_start, margin_of = compile_(_line_start), compile_(_margin)
    spread_line, border_back = compile_(_spread_inside), compile_(_spread_border)

    def resample(
        volumes: Any, rows: Any, back: Any, out: Any, first_plane: int, last_plane: int
    ) -> None:
        channels, depth, height, width = volumes.shape[1:]
        size = (width, height, depth)
        support = (1.0 * width, 1.0 * height, 1.0 * depth)
        flat, flat_out = volumes.reshape(-1), out.reshape(-1)
        for plane in range(first_plane, last_plane):
            d, row, m = plane % depth, rows[plane // depth], back[plane // depth]
            step = (m[0, 0], m[1, 0], m[2, 0])
            per_step = inverses(step)
            for h in range(height):
                start = line_start(m, d, h)
                margin = margin_of(start, step, size)
                exact = exact_axis(start, step)
                x, y, z = (
                    -0.5 if exact == 0 else margin,
                    -0.5 if exact == 1 else margin,
                    -0.5 if exact == 2 else margin,
                )
                begin, end = columns(start, per_step, (-1.0, -1.0, -1.0), support, width)
                inner, outer = columns(
                    start,
                    per_step,
                    (x, y, z),
                    (width - 1 - x, height - 1 - y, depth - 1 - z),
                    width,
                )
                if inner >= outer:
                    inner = outer = end
                for c in range(channels):
                    volume = (row * channels + c) * depth * height * width
                    source, line = flat[volume:], flat_out[volume + (d * height + h) * width :]
                    line[:begin] = 0
                    line[end:width] = 0
                    border(source, line, start, step, size, begin, inner)
                    border(source, line, start, step, size, outer, end)
                    if exact < 0:
                        inside(source, line, start, step, size, inner, outer)
                    else:
                        in_plane(source, line, start, step, size, inner, outer, exact)

    def spread(
        gradient: Any, rows: Any, back: Any, out: Any, first_row: int, last_row: int
    ) -> None:
        channels, depth, height, width = gradient.shape[1:]
        size = (width, height, depth)
        support = (1.0 * width, 1.0 * height, 1.0 * depth)
        for n in range(first_row, last_row):
            m, row = back[n], rows[n]
            step = (m[0, 0], m[1, 0], m[2, 0])
            per_step = inverses(step)
            out[row] = 0
            for d in range(depth):
                for h in range(height):
                    start = line_start(m, d, h)
                    x = margin_of(start, step, size)
                    begin, end = columns(start, per_step, (-1.0, -1.0, -1.0), support, width)
                    inner, outer = columns(
                        start, per_step, (x, x, x), (width - 1 - x, height - 1 - x, depth - 1 - x),
                        width,
                    )  # fmt: skip
                    if inner >= outer:
                        inner = outer = end
                    for c in range(channels):
                        line = gradient[row, c, d, h]
                        to = out[row, c].reshape(-1)
                        border_back(to, line, start, step, size, begin, inner)
                        border_back(to, line, start, step, size, outer, end)
                        spread_line(to, line, start, step, size, inner, outer)

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

    return Kernels(compile_(resample), compile_(spread), compile_(erase))


def _line_start(back: Any, plane: int, row: int) -> tuple[float, float, float]:
    """Return where the first voxel of a line comes from, (x, y, z)."""
    return (
        back[0, 1] * row + back[0, 2] * plane + back[0, 3],
        back[1, 1] * row + back[1, 2] * plane + back[1, 3],
        back[2, 1] * row + back[2, 2] * plane + back[2, 3],
    )


def _margin(start: Any, step: Any, size: Any) -> float:
    """Return how far from the border float32 is sure to tell on which side a place lies."""
    reach = max(abs(start[0]), abs(start[1]), abs(start[2]))
    stride = max(abs(step[0]), abs(step[1]), abs(step[2]))
    margin: float = _ROUNDING * (reach + size[0] * stride + max(size[0], size[1], size[2]))
    return margin


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


def _exact_axis(start: Any, step: Any) -> int:
    """Return an axis along which a line meets voxel centres only, or −1."""
    for axis in range(3):
        if start[axis] == math.floor(start[axis]) and abs(step[axis]) in (0.0, 1.0):
            return axis
    return -1


def _inside(source: Any, line: Any, start: Any, step: Any, size: Any, begin: int, end: int) -> None:
    """Interpolate columns [begin, end), whose eight neighbours lie inside."""
    width, height = size[0], size[1]
    right, below, behind = np.uint32(1), np.uint32(width), np.uint32(width * height)
    x0, y0, z0 = np.float32(start[0]), np.float32(start[1]), np.float32(start[2])
    dx, dy, dz = np.float32(step[0]), np.float32(step[1]), np.float32(step[2])
    for w in range(begin, end):
        column = np.float32(w)
        x, y, z = x0 + dx * column, y0 + dy * column, z0 + dz * column
        i, j, k = np.int32(x), np.int32(y), np.int32(z)
        u, v, t = x - np.float32(i), y - np.float32(j), z - np.float32(k)
        at = np.uint32((k * height + j) * width + i)  # signed, it would be checked for its sign
        a, b = source[at], source[at + below]
        a += u * (source[at + right] - a)
        b += u * (source[at + below + right] - b)
        at += behind
        e, f = source[at], source[at + below]
        e += u * (source[at + right] - e)
        f += u * (source[at + below + right] - f)
        a += v * (b - a)
        e += v * (f - e)
        line[w] = a + t * (e - a)


def _in_plane(
    source: Any, line: Any, start: Any, step: Any, size: Any, begin: int, end: int, exact: int
) -> None:
    """Do the same where along one axis voxel centres are met: four neighbours are left."""
    one = 1 if exact == 0 else 0
    other = 3 - exact - one
    strides = (1, size[0], size[0] * size[1])
    along, across = np.uint32(strides[one]), np.uint32(strides[other])
    origin, advance = int(start[exact]) * strides[exact], int(step[exact]) * strides[exact]
    x0, y0 = np.float32(start[one]), np.float32(start[other])
    dx, dy = np.float32(step[one]), np.float32(step[other])
    for w in range(begin, end):
        column = np.float32(w)
        x, y = x0 + dx * column, y0 + dy * column
        i, j = np.int32(x), np.int32(y)
        u, v = x - np.float32(i), y - np.float32(j)
        at = np.uint32(origin + advance * w + j * strides[other] + i * strides[one])
        a, b = source[at], source[at + across]
        a += u * (source[at + along] - a)
        b += u * (source[at + across + along] - b)
        line[w] = a + v * (b - a)


def _border(source: Any, line: Any, start: Any, step: Any, size: Any, begin: int, end: int) -> None:
    """Interpolate columns [begin, end), of whose neighbours some may lie outside."""
    for w in range(begin, end):
        x, y, z = start[0] + step[0] * w, start[1] + step[1] * w, start[2] + step[2] * w
        i, j, k = math.floor(x), math.floor(y), math.floor(z)
        value = 0.0
        for c in range(k, k + 2):
            for b in range(j, j + 2):
                for a in range(i, i + 2):
                    if 0 <= a < size[0] and 0 <= b < size[1] and 0 <= c < size[2]:
                        weight = (1 - abs(x - a)) * (1 - abs(y - b)) * (1 - abs(z - c))
                        value += weight * source[(c * size[1] + b) * size[0] + a]
        line[w] = value


def _spread_inside(
    to: Any, line: Any, start: Any, step: Any, size: Any, begin: int, end: int
) -> None:
    """Add columns [begin, end) to their eight neighbours, which lie inside, by their weights."""
    width, height = size[0], size[1]
    right, below, behind = np.uint32(1), np.uint32(width), np.uint32(width * height)
    x0, y0, z0 = np.float32(start[0]), np.float32(start[1]), np.float32(start[2])
    dx, dy, dz = np.float32(step[0]), np.float32(step[1]), np.float32(step[2])
    for w in range(begin, end):
        column = np.float32(w)
        x, y, z = x0 + dx * column, y0 + dy * column, z0 + dz * column
        i, j, k = np.int32(x), np.int32(y), np.int32(z)
        u, v, t = x - np.float32(i), y - np.float32(j), z - np.float32(k)
        at = np.uint32((k * height + j) * width + i)
        far = t * line[w]
        near = line[w] - far
        for value in (near, far):
            b = v * value
            a = value - b
            to[at] += a - u * a
            to[at + right] += u * a
            to[at + below] += b - u * b
            to[at + below + right] += u * b
            at += behind


def _spread_border(
    to: Any, line: Any, start: Any, step: Any, size: Any, begin: int, end: int
) -> None:
    """Do the same where some neighbours may lie outside."""
    for w in range(begin, end):
        x, y, z = start[0] + step[0] * w, start[1] + step[1] * w, start[2] + step[2] * w
        i, j, k = math.floor(x), math.floor(y), math.floor(z)
        for c in range(k, k + 2):
            for b in range(j, j + 2):
                for a in range(i, i + 2):
                    if 0 <= a < size[0] and 0 <= b < size[1] and 0 <= c < size[2]:
                        weight = (1 - abs(x - a)) * (1 - abs(y - b)) * (1 - abs(z - c))
                        to[(c * size[1] + b) * size[0] + a] += weight * line[w]
