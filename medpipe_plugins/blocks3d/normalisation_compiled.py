"""Batch normalisation followed by clipping on a CPU, compiled with the extra `fast`.

All passes take float32 rows `(voxels of the batch, channels)`. Sums are taken over blocks of rows
in float32, and over blocks in float64, so that no result depends on the number of threads.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from medpipe_plugins.compiled_cache import kept
from medpipe_plugins.threads import in_threads, shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    PerChannel = NDArray[np.float64]

# Rows that are summed in float32.
_BLOCK = 512
# Values below which a second thread costs more than it saves.
_WORTH_A_THREAD = 500_000


class Moments(NamedTuple):
    """Mean and (biased) variance of each channel."""

    mean: PerChannel
    variance: PerChannel


class Clipped(NamedTuple):
    """The function `value → clip(scale · value + shift, low, high)`, by channel."""

    scale: Rows
    shift: Rows
    low: np.float32
    high: np.float32


class Gradients(NamedTuple):
    """Gradients with respect to the rows, the weight and the bias."""

    rows: Rows
    weight: PerChannel
    bias: PerChannel


def moments(rows: Rows) -> Moments:
    """Return each channel's mean and variance over the rows."""
    about = rows[0].copy()  # differences from a value that occurs lose nothing to cancellation
    first, second = _summed(_kernels().moments, rows, about) / len(rows)
    return Moments(first + about, np.maximum(second - first**2, 0))


def clip(rows: Rows, by: Clipped, out: Rows) -> None:
    """Write the function's values."""
    _each_row(_kernels().clip, rows, *by, out)


def gradients(
    rows: Rows, gradient: Rows, by: Clipped, found: Moments, deviation: PerChannel, out: Rows
) -> Gradients:
    """Return the gradients of the function whose scale and shift normalise the rows themselves.

    Ioffe and Szegedy, "Batch normalization", 2015, section 3, with the clipping's gradient first:
    it passes strictly between the limits.

    Args:
        rows: What was normalised.
        gradient: Gradient with respect to the clipped result.
        by: The function, scale = weight / deviation.
        found: Moments of the rows.
        deviation: √(variance + ε), by channel.
        out: Where the gradient with respect to the rows is written.
    """
    mean = found.mean.astype(np.float32)
    sums = _summed(_kernels().gradient_sums, rows, gradient, mean, *by)
    to_bias, to_weight = sums[0], sums[1] / deviation
    slope = -by.scale * to_weight / (deviation * len(rows))
    level = -by.scale * to_bias / len(rows) - slope * found.mean
    lines = slope.astype(np.float32), level.astype(np.float32)
    _each_row(_kernels().gradient, rows, gradient, *lines, *by, out)
    return Gradients(out, to_weight, to_bias)


def _summed(kernel: Callable[..., None], rows: Rows, *others: Any) -> PerChannel:
    """Return the two sums over rows that a kernel takes block by block, `(2, channels)`."""
    blocks = math.ceil(len(rows) / _BLOCK)
    sums = np.empty((blocks, 2, rows.shape[1]))
    work = functools.partial(kernel, rows, *others, sums)
    in_threads(work, shares(blocks, _threads(rows)))
    total: PerChannel = sums.sum(0)
    return total


def _each_row(kernel: Callable[..., None], rows: Rows, *others: Any) -> None:
    in_threads(functools.partial(kernel, rows, *others), shares(len(rows), _threads(rows)))


def _threads(rows: Rows) -> int:
    return max(min(torch.get_num_threads(), rows.size // _WORTH_A_THREAD), 1)


class _Kernels(NamedTuple):
    moments: Callable[..., None]
    clip: Callable[..., None]
    gradient_sums: Callable[..., None]
    gradient: Callable[..., None]


@functools.cache
def _kernels() -> _Kernels:
    """Compile the loops, which takes a second or so, once; the innermost ones are over channels."""
    from numba import njit

    compile_ = njit(nogil=True, error_model="numpy", fastmath={"contract"})
    return _Kernels(*(kept(compile_(one)) for one in (_moments, _clip, _gradient_sums, _gradient)))


def _moments(rows: Any, about: Any, sums: Any, first: int, last: int) -> None:
    channels = rows.shape[1]
    ones, squares = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for block in range(first, last):
        ones[:] = 0
        squares[:] = 0
        at, stop = block * _BLOCK, min((block + 1) * _BLOCK, len(rows))
        while at + 4 <= stop:  # four at a time: the sums are loaded and stored less often
            row0, row1, row2, row3 = rows[at], rows[at + 1], rows[at + 2], rows[at + 3]
            for c in range(channels):
                a, b, d, e = row0[c], row1[c], row2[c], row3[c]
                a, b, d, e = a - about[c], b - about[c], d - about[c], e - about[c]
                ones[c] += (a + b) + (d + e)
                squares[c] += (a * a + b * b) + (d * d + e * e)
            at += 4
        while at < stop:
            row = rows[at]
            for c in range(channels):
                a = row[c] - about[c]
                ones[c] += a
                squares[c] += a * a
            at += 1
        for c in range(channels):
            sums[block, 0, c], sums[block, 1, c] = ones[c], squares[c]


def _clip(
    rows: Any, scale: Any, shift: Any, low: Any, high: Any, out: Any, first: int, last: int
) -> None:
    for n in range(first, last):
        row, to = rows[n], out[n]
        for c in range(len(scale)):
            value = row[c] * scale[c] + shift[c]
            value = low if value < low else value  # in this form a NaN remains one
            to[c] = high if value > high else value


def _gradient_sums(
    rows: Any, gradient: Any, mean: Any, scale: Any, shift: Any, low: Any, high: Any, sums: Any,
    first: int, last: int,
) -> None:  # fmt: skip
    channels = rows.shape[1]
    ones, products = np.empty(channels, np.float32), np.empty(channels, np.float32)
    zero = np.float32(0)
    for block in range(first, last):
        ones[:] = 0
        products[:] = 0
        at, stop = block * _BLOCK, min((block + 1) * _BLOCK, len(rows))
        while at + 2 <= stop:
            row0, row1, from0, from1 = rows[at], rows[at + 1], gradient[at], gradient[at + 1]
            for c in range(channels):
                a, b = row0[c] * scale[c] + shift[c], row1[c] * scale[c] + shift[c]
                d = from0[c] if (a > low) & (a < high) else zero
                e = from1[c] if (b > low) & (b < high) else zero
                ones[c] += d + e
                products[c] += d * (row0[c] - mean[c]) + e * (row1[c] - mean[c])
            at += 2
        while at < stop:
            row, from_ = rows[at], gradient[at]
            for c in range(channels):
                a = row[c] * scale[c] + shift[c]
                d = from_[c] if (a > low) & (a < high) else zero
                ones[c] += d
                products[c] += d * (row[c] - mean[c])
            at += 1
        for c in range(channels):
            sums[block, 0, c], sums[block, 1, c] = ones[c], products[c]


def _gradient(
    rows: Any, gradient: Any, slope: Any, level: Any, scale: Any, shift: Any, low: Any, high: Any,
    out: Any, first: int, last: int,
) -> None:  # fmt: skip
    zero = np.float32(0)
    for n in range(first, last):
        row, from_, to = rows[n], gradient[n], out[n]
        for c in range(len(scale)):
            value = row[c] * scale[c] + shift[c]
            passed = from_[c] if (value > low) & (value < high) else zero
            to[c] = scale[c] * passed + (slope[c] * row[c] + level[c])
