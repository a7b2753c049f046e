"""The loops that change intensities, for numba to compile.

Each volume is copied once, and then goes through all its steps while it is in the cache.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.compiled_cache import kept

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("linear", "clamp", "contrast", "smooth", "smooth-axes", "add")
"""Steps by number; see `medpipe_plugins.augment3d.filtering`."""

_LINEAR, _CLAMP, _CONTRAST, _SMOOTH, _SMOOTH_AXES, _ADD = range(len(KINDS))


@functools.cache
def filter_volumes() -> Callable[..., None]:
    """Return the loop over volumes; it takes two seconds or so at its first call ever.

    It is called with volumes and where to write them, `(batch, channel, depth, height, width)`,
    float32, contiguous; the steps, `(step, 3)`, int64: kind, how many volumes it changes and how
    many numbers it has for each of these; which volumes, step after step; all numbers, likewise;
    and the first volume and the one after the last.
    """
    from numba import njit

    compile_: Any = njit(nogil=True, fastmath={"contract"}, error_model="numpy")
    # A sum in another order is a sum of many lanes at once.
    mean = njit(nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")(_mean)
    smooth = compile_(_smoother(compile_))
    index = np.uint64  # a signed one would be checked for being negative

    def loop(
        volumes: Any, out: Any, steps: Any, rows: Any, table: Any, first: int, last: int
    ) -> None:
        channels, depth, height, width = volumes.shape[1:]
        kinds, counts = steps[:, 0], steps[:, 2]
        # Where the numbers of each step for each volume begin; below 0 where it changes nothing.
        begin = np.full((len(steps), len(volumes)), -1)
        row, end = 0, 0
        for s in range(len(steps)):
            for _ in range(steps[s, 1]):
                begin[s, rows[row]] = end
                row += 1
                end += counts[s]
        zero, one = np.float32(0), np.float32(1)
        longer = 0
        for s in range(len(kinds)):
            if kinds[s] == _SMOOTH:
                longer = max(longer, counts[s])
            elif kinds[s] == _SMOOTH_AXES:
                longer = max(longer, counts[s] // 3)
        size = depth * height * width
        room = np.empty((depth + longer) * (height + longer) * (width + longer), np.float32)
        more_room = np.empty((height + longer) * (width + longer), np.float32)
        for n in range(first, last):
            frm, to = volumes[n].reshape(-1), out[n].reshape(-1)
            for at in range(len(to)):
                to[index(at)] = frm[index(at)]
            for s in range(len(kinds)):
                if begin[s, n] < 0:
                    continue
                numbers = table[begin[s, n] : begin[s, n] + counts[s]]
                if kinds[s] == _LINEAR or kinds[s] == _CONTRAST:
                    factor = numbers[0]
                    if kinds[s] == _LINEAR:
                        offset = numbers[1]
                    else:
                        offset = (one - factor) * np.float32(mean(to))
                    for at in range(len(to)):
                        to[index(at)] = to[index(at)] * factor + offset
                elif kinds[s] == _CLAMP:
                    for at in range(len(to)):
                        value = to[index(at)]
                        value = zero if value < zero else value  # what is no number stays none
                        to[index(at)] = one if value > one else value
                elif kinds[s] == _ADD:
                    for at in range(len(to)):
                        to[index(at)] += numbers[index(at)]
                else:
                    kernel, apart = counts[s], 0  # of one axis, and from one axis to the next
                    if kinds[s] == _SMOOTH_AXES:
                        kernel //= 3
                        apart = kernel
                    along = (
                        numbers[:kernel],
                        numbers[apart : apart + kernel],
                        numbers[2 * apart : 2 * apart + kernel],
                    )
                    for c in range(channels):
                        channel = to[c * size : (c + 1) * size]
                        smooth(channel, (depth, height, width), along, room, more_room)

    compiled: Callable[..., None] = kept(compile_(loop))
    return compiled


def _mean(volume: Any) -> float:
    total = 0.0
    for at in range(len(volume)):
        total += volume[np.uint64(at)]
    return total / len(volume)


def _smoother(compile_: Any) -> Callable[..., None]:
    lay_out, weigh = compile_(_lay_out), compile_(_weigh)

    def smooth(volume: Any, shape: Any, along: Any, room: Any, more_room: Any) -> None:
        """Smooth one volume in place, along one axis after the other, by the weights of each.

        Neighbours along an axis are so many values apart, so that a sum is one of shifted arrays,
        however long. `room` and `more_room` hold a volume whose axes are all longer by the kernel.
        """
        depth, height, width = shape
        area, kernel = height * width, len(along[0])
        lay_out(volume, room, 1, depth, area, kernel)
        weigh(room, area, along[0], volume, depth * area)
        for d in range(depth):
            plane = volume[d * area : (d + 1) * area]
            lay_out(plane, room, 1, height, width, kernel)
            weigh(room, width, along[1], more_room, area)
            lay_out(more_room, room, height, width, 1, kernel)
            longer = width + kernel - 1
            weigh(room, 1, along[2], more_room, height * longer - kernel + 1)
            for h in range(height):
                for w in range(width):
                    plane[np.uint64(h * width + w)] = more_room[np.uint64(h * longer + w)]

    return smooth


def _lay_out(frm: Any, to: Any, count: int, length: int, size: int, kernel: int) -> None:
    """Copy `count` runs of `length` items, and repeat the first and the last item of each."""
    before = kernel // 2
    for run in range(count):
        for n in range(length + kernel - 1):
            source = (run * length + min(max(n - before, 0), length - 1)) * size
            target = (run * (length + kernel - 1) + n) * size
            for at in range(size):
                to[np.uint64(target + at)] = frm[np.uint64(source + at)]


def _weigh(items: Any, step: int, weights: Any, to: Any, count: int) -> None:
    """Write sums of values that lie `step` apart, by their weights."""
    first = weights[0]
    for at in range(count):
        to[np.uint64(at)] = first * items[np.uint64(at)]
    n = 1
    while n < len(weights):
        one, other = n * step, min(n + 1, len(weights) - 1) * step
        weight = weights[n]
        last = weights[n + 1] if n + 1 < len(weights) else np.float32(0)
        for at in range(count):
            sum_ = weight * items[np.uint64(at + one)] + last * items[np.uint64(at + other)]
            to[np.uint64(at)] += sum_
        n += 2
