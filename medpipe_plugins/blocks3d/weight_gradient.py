"""The weight gradient of a depthwise 3D convolution on a CPU, compiled by numba where it is there.

It is what remains slow in training once the other two convolutions run channels-last: oneDNN does
it five to seven times slower than this. The sums are those of the definition,

    w'[c, i, j, l] = Σ over n, d, h, w of x[n, c, d + i, h + j, w + l] · y'[n, c, d, h, w],

x padded with zeros. A slab (one depth of one channel) is laid out as one long row with its padding
inside, so that the sum over h and w is one over a single index m, and (j, l) is a mere offset in
it. A pass over m then keeps several offsets' sums in registers.

numba is the extra `medpipe[fast]`; without it torch's own operator is used.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.grad import conv3d_weight

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# Channels that are laid out at a time: what one cache line of a channels-last tensor holds.
_LANES = 16
# Sums that a pass keeps: so many and their operands fit sixteen vector registers.
_SUMS = 15
# Multiply-adds below which a second thread costs more than it saves.
_WORTH_A_THREAD = 4_000_000


def depthwise_weight_gradient(volumes: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """Return the gradient with respect to the weight, `(channels, 1, kernel, kernel, kernel)`.

    The result does not depend on the number of threads.

    Args:
        volumes: The input, `(batch, channels, depth, height, width)`, float32, channels-last.
        gradient: Gradient of the loss with respect to the output, the same shape and layout.
        kernel: Odd edge length of the kernel; stride 1, zero padding that keeps the shape.
    """
    channels = volumes.shape[1]
    if not has_numba():
        shape = (channels, 1, kernel, kernel, kernel)
        return conv3d_weight(  # type: ignore[no-any-return, no-untyped-call]
            volumes, shape, gradient, padding=kernel // 2, groups=channels
        )
    correlate = _compiled(kernel)
    out = np.zeros((channels, kernel, kernel, kernel), np.float32)
    x, y = (t.detach().permute(0, 2, 3, 4, 1).numpy() for t in (volumes, gradient))
    parts = _parts(channels, min(torch.get_num_threads(), _threads(volumes.numel() * kernel**3)))
    if len(parts) == 1:
        correlate(x, y, out, 0, channels)
    else:
        with ThreadPoolExecutor(len(parts) - 1) as pool:
            others = [pool.submit(correlate, x, y, out, *part) for part in parts[1:]]
            correlate(x, y, out, *parts[0])
            for other in others:
                other.result()
    return torch.from_numpy(out).unsqueeze(1)


@functools.cache
def has_numba() -> bool:
    """Say whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def _threads(multiply_adds: int) -> int:
    return max(multiply_adds // _WORTH_A_THREAD, 1)


def _parts(channels: int, threads: int) -> list[tuple[int, int]]:
    """Part the channels among threads, at multiples of `_LANES`."""
    blocks = -(-channels // _LANES)
    bounds = [min(blocks * n // threads * _LANES, channels) for n in range(threads + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


@functools.cache
def _compiled(kernel: int) -> Callable[..., None]:
    """Return the compiled sum for channels [first, last); it takes a second or so to make."""
    from numba import njit

    compile_: Any = njit(nogil=True, fastmath=True)
    together = max(_SUMS // kernel, 1)
    many, rest = divmod(kernel, together)
    sum_many = compile_(_pass(kernel, together))
    sum_rest = compile_(_pass(kernel, max(rest, 1)))
    index = np.uint64  # a signed index would be checked for being negative

    def correlate(x: Any, y: Any, out: Any, first: int, last: int) -> None:
        batch, depth, height, width, channels = x.shape
        pad = kernel // 2
        row = width + 2 * pad
        slab = (height + 2 * pad) * row
        before = (kernel - 1) * row
        length = slab - (kernel - 1)
        one_x, one_y = (depth + 2 * pad) * slab, depth * (before + slab)
        flat_x, flat_y = x.reshape(-1), y.reshape(-1)
        laid_x = np.zeros(_LANES * one_x, np.float32)
        laid_y = np.zeros(_LANES * one_y, np.float32)
        for c0 in range(first, last, _LANES):
            count = min(_LANES, last - c0)
            for n in range(batch):
                for d in range(depth):
                    for h in range(height):
                        source = ((n * depth + d) * height + h) * width * channels + c0
                        to_x = (d + pad) * slab + (h + pad) * row + pad
                        to_y = d * (before + slab) + before + h * row
                        for c in range(count):
                            for w in range(width):
                                laid_x[index(to_x + c * one_x + w)] = flat_x[
                                    index(source + w * channels + c)
                                ]
                            for w in range(width):
                                laid_y[index(to_y + c * one_y + w)] = flat_y[
                                    index(source + w * channels + c)
                                ]
                for c in range(count):
                    for d in range(depth):
                        rows_y = laid_y[c * one_y + d * (before + slab) :]
                        for i in range(max(pad - d, 0), min(depth + pad - d, kernel)):
                            at = c * one_x + (d + i) * slab
                            row_x = laid_x[at : at + slab]
                            sums = out[c0 + c, i]
                            for j in range(0, many * together, together):
                                sum_many(row_x, rows_y, before - j * row, row, length, sums, j)
                            if rest:
                                j = many * together
                                sum_rest(row_x, rows_y, before - j * row, row, length, sums, j)

    compiled: Callable[..., None] = compile_(correlate)
    return compiled


def _pass(kernel: int, rows: int) -> Callable[..., None]:
    """Return a function that sums `kernel` offsets of x against `rows` rows of y in one pass.

    out[j + r, l] += Σ over m of x[m + l] · y[start − r · row + m]. Its sums have to be single
    variables, or they would not stay in registers; so it is written out.
    """
    sums = [(r, tap) for r in range(rows) for tap in range(kernel)]
    lines = [
        "def one_pass(x, y, start, row, length, out, j):",
        *(f"    s{r}_{tap} = zero" for r, tap in sums),
        *(f"    y{r} = y[start - {r} * row : start - {r} * row + length]" for r in range(rows)),
        "    for m in range(length):",
        *(f"        s{r}_{tap} += x[m + {tap}] * y{r}[m]" for r, tap in sums),
        *(f"    out[j + {r}, {tap}] += s{r}_{tap}" for r, tap in sums),
    ]
    names: dict[str, Any] = {"zero": np.float32(0)}
    exec("\n".join(lines), names)  # noqa: S102  (the text is made of the two numbers above)
    written: Callable[..., None] = names["one_pass"]
    return written
