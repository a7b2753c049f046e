# mypy: disable-error-code="assignment"
"""Batch normalisation with or without clipping to [0, 6], written for a GPU; imports Triton.

Volumes lie channels last and are read as rows `(voxels of the batch, channels)`. Sums are float32
whatever is read; each program sums every `slices`-th tile of rows, and another kernel adds what
they found up in order. What all kernels take:

    count: How many rows there are.
    units, unit: channels = units · unit, so that it is known what channels are a multiple of.
    slices: How many programs share a sum over rows.
    rows, lanes: Rows and channels of a tile, powers of two.
    low, high: What results are clipped to; infinite where they are not.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Compiled once for all sizes.
_SIZES = ("count", "units", "slices")
_NUMBERS = ("eps", "low", "high")


@triton.jit
def _line(
    weight: tl.tensor, bias: tl.tensor, mean: tl.tensor, variance: tl.tensor, eps: tl.tensor,
    channel: tl.tensor, real: tl.tensor,
) -> tl.tensor:  # fmt: skip
    """Return scale and shift of each channel; their shape is that of the channels."""
    scale = tl.load(weight + channel, mask=real, other=0)
    scale = scale / tl.sqrt(tl.load(variance + channel, mask=real, other=1) + eps)
    shift = tl.load(bias + channel, mask=real, other=0)
    return scale, shift - tl.load(mean + channel, mask=real, other=0) * scale


@triton.jit(do_not_specialize=_SIZES)
def sum_moments(
    x: tl.tensor, parts: tl.tensor, count: tl.tensor, units: tl.tensor, slices: tl.tensor,
    unit: tl.constexpr, rows: tl.constexpr, lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write sums of differences from the first row, and of their squares, `(slices, 2, channels)`.

    Differences from a value that occurs lose nothing to cancellation.
    """
    channels = units * unit
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    real = channel < channels
    about = tl.load(x + channel, mask=real, other=0).to(tl.float32)
    ones = tl.zeros((rows, lanes), tl.float32)
    squares = tl.zeros((rows, lanes), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(count, rows), slices):
        row = tile * rows + tl.arange(0, rows)
        mask = (row < count)[:, None] & real[None, :]
        at = row[:, None] * channels + channel[None, :]
        value = tl.load(x + at, mask=mask, other=0).to(tl.float32)
        value = tl.where(mask, value - about[None, :], 0.0)
        ones += value
        squares += value * value
    to = parts + tl.program_id(0) * 2 * channels + channel
    tl.store(to, tl.sum(ones, 0), mask=real)
    tl.store(to + channels, tl.sum(squares, 0), mask=real)


@triton.jit
def _total(
    parts: tl.tensor, which: tl.tensor, channel: tl.tensor, channels: tl.tensor,
    slices: tl.tensor, real: tl.tensor, rows: tl.constexpr, lanes: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Return the sum over slices of the first or the second kind of sums."""
    sums = tl.zeros((rows, lanes), tl.float32)
    for first in range(0, slices, rows):
        part = first + tl.arange(0, rows)
        at = (part[:, None] * 2 + which) * channels + channel[None, :]
        sums += tl.load(parts + at, mask=(part < slices)[:, None] & real[None, :], other=0)
    return tl.sum(sums, 0)


@triton.jit(do_not_specialize=[*_SIZES, "share", "mode"])
def finish_moments(
    x: tl.tensor, parts: tl.tensor, mean: tl.tensor, variance: tl.tensor, running_mean: tl.tensor,
    running_variance: tl.tensor, batches: tl.tensor, share: tl.tensor, count: tl.tensor,
    units: tl.tensor, slices: tl.tensor, mode: tl.tensor, unit: tl.constexpr, rows: tl.constexpr,
    lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write mean and (biased) variance; let the running ones follow, unless the mode is 0.

    In mode 1 they move by `share` of the way, and the number of batches is raised; in mode 2 by one
    over that number, which has been raised already.
    """
    channels = units * unit
    channel = tl.program_id(0) * lanes + tl.arange(0, lanes)
    real = channel < channels
    about = tl.load(x + channel, mask=real, other=0).to(tl.float32)
    first = _total(parts, 0, channel, channels, slices, real, rows, lanes) / count
    second = _total(parts, 1, channel, channels, slices, real, rows, lanes) / count
    found = tl.maximum(second - first * first, 0.0)
    first += about
    tl.store(mean + channel, first, mask=real)
    tl.store(variance + channel, found, mask=real)
    if mode > 0:
        number = tl.load(batches)
        share = tl.where(mode == 2, 1.0 / tl.maximum(number.to(tl.float32), 1.0), share)
        tl.store(batches, number + 1, mask=(mode == 1) & (tl.program_id(0) == 0))
        unbiased = found * (count / (count - 1.0))
        was = tl.load(running_mean + channel, mask=real, other=0)
        tl.store(running_mean + channel, was + share * (first - was), mask=real)
        was = tl.load(running_variance + channel, mask=real, other=0)
        tl.store(running_variance + channel, was + share * (unbiased - was), mask=real)


@triton.jit(do_not_specialize=["count", "units", *_NUMBERS])
def normalise(
    x: tl.tensor, y: tl.tensor, weight: tl.tensor, bias: tl.tensor, mean: tl.tensor,
    variance: tl.tensor, eps: tl.tensor, low: tl.tensor, high: tl.tensor, count: tl.tensor,
    units: tl.tensor, unit: tl.constexpr, rows: tl.constexpr, lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write the normalised rows."""
    channels = units * unit
    channel = (tl.program_id(1) * lanes + tl.arange(0, lanes))[None, :]
    real = channel < channels
    row = (tl.program_id(0) * rows + tl.arange(0, rows))[:, None]
    mask = (row < count) & real
    at = row * channels + channel
    scale, shift = _line(weight, bias, mean, variance, eps, channel, real)
    value = tl.load(x + at, mask=mask, other=0).to(tl.float32) * scale + shift
    value = tl.where(value < low, low, value)  # in this form a NaN remains one
    value = tl.where(value > high, high, value)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def _passed(
    gradient: tl.tensor, scaled: tl.tensor, low: tl.tensor, high: tl.tensor
) -> tl.tensor:  # fmt: skip
    """Return the gradient where clipping lets it through: strictly between the limits."""
    return tl.where((scaled > low) & (scaled < high), gradient, 0.0)


@triton.jit(do_not_specialize=[*_SIZES, *_NUMBERS])
def sum_gradients(
    x: tl.tensor, gradient: tl.tensor, parts: tl.tensor, weight: tl.tensor, bias: tl.tensor,
    mean: tl.tensor, variance: tl.tensor, eps: tl.tensor, low: tl.tensor, high: tl.tensor,
    count: tl.tensor, units: tl.tensor, slices: tl.tensor, unit: tl.constexpr, rows: tl.constexpr,
    lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write sums of gradients, and of their products with x - mean, `(slices, 2, channels)`."""
    channels = units * unit
    channel = (tl.program_id(1) * lanes + tl.arange(0, lanes))[None, :]
    real = channel < channels
    middle = tl.load(mean + channel, mask=real, other=0)
    scale, shift = _line(weight, bias, mean, variance, eps, channel, real)
    ones = tl.zeros((rows, lanes), tl.float32)
    products = tl.zeros((rows, lanes), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(count, rows), slices):
        row = (tile * rows + tl.arange(0, rows))[:, None]
        mask = (row < count) & real
        at = row * channels + channel
        value = tl.load(x + at, mask=mask, other=0).to(tl.float32)
        come = tl.load(gradient + at, mask=mask, other=0).to(tl.float32)
        come = _passed(come, value * scale + shift, low, high)
        ones += come
        products += come * (value - middle)
    channel = tl.program_id(1) * lanes + tl.arange(0, lanes)
    to = parts + tl.program_id(0) * 2 * channels + channel
    tl.store(to, tl.sum(ones, 0), mask=channel < channels)
    tl.store(to + channels, tl.sum(products, 0), mask=channel < channels)


@triton.jit(do_not_specialize=[*_SIZES, *_NUMBERS])
def finish_gradients(
    parts: tl.tensor, variance: tl.tensor, to_weight: tl.tensor, to_bias: tl.tensor,
    eps: tl.tensor, units: tl.tensor, slices: tl.tensor, unit: tl.constexpr, rows: tl.constexpr,
    lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write the gradients with respect to weight and bias."""
    channels = units * unit
    channel = tl.program_id(0) * lanes + tl.arange(0, lanes)
    real = channel < channels
    ones = _total(parts, 0, channel, channels, slices, real, rows, lanes)
    products = _total(parts, 1, channel, channels, slices, real, rows, lanes)
    deviation = tl.sqrt(tl.load(variance + channel, mask=real, other=1) + eps)
    tl.store(to_bias + channel, ones, mask=real)
    tl.store(to_weight + channel, products / deviation, mask=real)


@triton.jit(do_not_specialize=["count", "units", *_NUMBERS])
def spread_gradients(
    x: tl.tensor, gradient: tl.tensor, to_x: tl.tensor, to_weight: tl.tensor, to_bias: tl.tensor,
    weight: tl.tensor, bias: tl.tensor, mean: tl.tensor, variance: tl.tensor, eps: tl.tensor,
    low: tl.tensor, high: tl.tensor, count: tl.tensor, units: tl.tensor, unit: tl.constexpr,
    rows: tl.constexpr, lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write the gradient with respect to the rows (Ioffe and Szegedy, 2015, section 3)."""
    channels = units * unit
    channel = (tl.program_id(1) * lanes + tl.arange(0, lanes))[None, :]
    real = channel < channels
    row = (tl.program_id(0) * rows + tl.arange(0, rows))[:, None]
    mask = (row < count) & real
    at = row * channels + channel
    value = tl.load(x + at, mask=mask, other=0).to(tl.float32)
    come = tl.load(gradient + at, mask=mask, other=0).to(tl.float32)
    scale, shift = _line(weight, bias, mean, variance, eps, channel, real)
    come = _passed(come, value * scale + shift, low, high)
    deviation = tl.sqrt(tl.load(variance + channel, mask=real, other=1) + eps)
    slope = tl.load(to_weight + channel, mask=real, other=0) / (deviation * count)
    level = tl.load(to_bias + channel, mask=real, other=0) / count
    centred = value - tl.load(mean + channel, mask=real, other=0)
    found = scale * (come - level - slope * centred)
    tl.store(to_x + at, found.to(to_x.dtype.element_ty), mask=mask)
