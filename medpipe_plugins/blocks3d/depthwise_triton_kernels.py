"""The sums of a depthwise 3D convolution, written for a GPU; importing this imports Triton.

Volumes lie channels last, so that a tile of `(places, channels)` is read whole; a place is a row
and a column of a volume, and each program holds a tile for several planes in registers. What is
read once is multiplied by the kernel's numbers for all of them: reading takes longer than that.
Sums are float32 whatever is read and written. Weights are `(kernel³, channels)`.

Loops over `static_range` are unrolled, so that tuples of tiles stay in registers. What all kernels
take:

    depth … columns: Sizes of the input; of the output with `out_` before them.
    rows: Rows of all the output's volumes, or of what else is swept.
    units, unit: channels = units · unit, so that it is known what channels are a multiple of.
    planes: Planes of output (of input for `spread`) that a program holds.
    places, across: Places of a tile, and columns of these; powers of two.
    lanes: Channels of a tile, a power of two.
"""

# mypy: disable-error-code="assignment,var-annotated"
# Tuples grow, and keep their names.

from __future__ import annotations

import triton
import triton.language as tl

# Compiled once for all sizes: a network has many, and each variant takes seconds.
_SIZES = ("depth", "height", "columns", "out_depth", "out_height", "out_columns")


@triton.jit
def _tile(
    patch: tl.tensor, rows: tl.tensor, height: tl.tensor, columns: tl.tensor, places: tl.constexpr,
    across: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Return volume, row and column of each place, and which of them there are."""
    patches = tl.cdiv(columns, across)
    place = tl.arange(0, places)
    row = (patch // patches) * (places // across) + place // across
    column = (patch % patches) * across + place % across
    return row // height, row % height, column, (row < rows) & (column < columns)


@triton.jit
def _nothing(places: tl.constexpr, lanes: tl.constexpr, count: tl.constexpr) -> tl.tensor:
    """Return tiles of zeros."""
    tiles = ()
    for _ in tl.static_range(count):
        tiles = tiles + (tl.zeros((places, lanes), tl.float32),)  # noqa: RUF005
    return tiles


@triton.jit
def _alone(index: tl.tensor) -> tl.tensor:
    """Return the index as `(1, 1)`; the interpreter does not spread truths about single numbers."""
    return index + tl.zeros((1, 1), tl.int32)


@triton.jit(do_not_specialize=[*_SIZES, "rows", "units"])
def convolve(
    x: tl.tensor, weight: tl.tensor, y: tl.tensor, depth: tl.tensor, height: tl.tensor,
    columns: tl.tensor, out_depth: tl.tensor, out_height: tl.tensor, out_columns: tl.tensor,
    rows: tl.tensor, units: tl.tensor, unit: tl.constexpr, kernel: tl.constexpr,
    stride: tl.constexpr, flipped: tl.constexpr, planes: tl.constexpr, places: tl.constexpr,
    across: tl.constexpr, lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write the convolution; `flipped` is with the kernel's numbers in reverse, a gradient's."""
    channels = units * unit
    volume, row, column, there = _tile(
        tl.program_id(0), rows, out_height, out_columns, places, across
    )
    first = tl.program_id(1) * planes
    channel = tl.program_id(2) * lanes + tl.arange(0, lanes)
    real = channel < channels
    in_depth = first * stride - kernel // 2
    in_row, in_column = row * stride - kernel // 2, column * stride - kernel // 2
    start = ((volume * depth + in_depth) * height + in_row) * columns + in_column
    at = start[:, None] * channels + channel[None, :]
    plane_size, deepest = height * columns * channels, _alone(in_depth)
    sums = _nothing(places, lanes, planes)
    for tap in range(kernel * kernel):
        down, right = tap // kernel, tap % kernel
        inside = (in_row + down >= 0) & (in_row + down < height)
        inside &= (in_column + right >= 0) & (in_column + right < columns)
        mask = (there & inside)[:, None] & real[None, :]
        tap_at = at + (down * columns + right) * channels
        taps = ()
        for back in tl.static_range(kernel):
            number = back * kernel * kernel + tap
            if flipped:
                number = kernel * kernel * kernel - 1 - number
            one = tl.load(weight + number * channels + channel, mask=real, other=0)
            taps = taps + (one.to(tl.float32)[None, :],)  # noqa: RUF005
        for plane in tl.static_range((planes - 1) * stride + kernel):
            deep = (deepest >= -plane) & (deepest < depth - plane)
            value = tl.load(x + (tap_at + plane * plane_size), mask=mask & deep, other=0)
            value = value.to(tl.float32)
            held = ()
            for out in tl.static_range(planes):
                if plane >= out * stride and plane - out * stride < kernel:
                    held = held + (tl.fma(value, taps[plane - out * stride], sums[out]),)  # noqa: RUF005
                else:
                    held = held + (sums[out],)  # noqa: RUF005
            sums = held
    to = ((volume * out_depth + first) * out_height + row) * out_columns + column
    to = to[:, None] * channels + channel[None, :]
    mask = there[:, None] & real[None, :]
    for out in tl.static_range(planes):
        within = mask & (_alone(first) < out_depth - out)
        where = y + (to + out * out_height * out_columns * channels)
        tl.store(where, sums[out].to(y.dtype.element_ty), mask=within)


@triton.jit(do_not_specialize=[*_SIZES, "rows", "patches", "units"])
def spread(
    y: tl.tensor, weight: tl.tensor, x: tl.tensor, depth: tl.tensor, height: tl.tensor,
    columns: tl.tensor, out_depth: tl.tensor, out_height: tl.tensor, out_columns: tl.tensor,
    rows: tl.tensor, patches: tl.tensor, units: tl.tensor, unit: tl.constexpr, kernel: tl.constexpr,
    planes: tl.constexpr, places: tl.constexpr, across: tl.constexpr, lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write the gradient with respect to the input at stride 2, from y, that of the output.

    Every second number of the kernel meets a row and a column, beginning with the first or the
    second: a program's places are all odd or all even. Planes are a multiple of two. `rows` counts
    the places of one kind, as `patches` does.
    """
    channels = units * unit
    reach: tl.constexpr = kernel // 2
    odd_row, odd_column = (tl.program_id(0) // patches) // 2, (tl.program_id(0) // patches) % 2
    volume, half_row, half_column, there = _tile(
        tl.program_id(0) % patches, rows, (height + 1) // 2, (columns + 1) // 2, places, across
    )
    row, column = half_row * 2 + odd_row, half_column * 2 + odd_column
    there = there & (row < height) & (column < columns)
    first = tl.program_id(1) * planes
    channel = tl.program_id(2) * lanes + tl.arange(0, lanes)
    real = channel < channels
    # The kernel's numbers from begin_… in steps of two; the first of them meets the last row.
    begin_row, begin_column = (odd_row + reach) % 2, (odd_column + reach) % 2
    last_row = half_row + (odd_row + reach - begin_row) // 2
    last_column = half_column + (odd_column + reach - begin_column) // 2
    count_row, count_column = (kernel + 1 - begin_row) // 2, (kernel + 1 - begin_column) // 2
    before: tl.constexpr = reach // 2
    out_first = first // 2 - before
    start = ((volume * out_depth + out_first) * out_height + last_row) * out_columns + last_column
    at = start[:, None] * channels + channel[None, :]
    plane_size, deepest = out_height * out_columns * channels, _alone(out_first)
    sums = _nothing(places, lanes, planes)
    for tap in range(count_row * count_column):
        up, left = tap // count_column, tap % count_column
        inside = (last_row - up >= 0) & (last_row - up < out_height)
        inside &= (last_column - left >= 0) & (last_column - left < out_columns)
        mask = (there & inside)[:, None] & real[None, :]
        tap_at = at - (up * out_columns + left) * channels
        taps = ()
        for back in tl.static_range(kernel):
            number = (back * kernel + begin_row + up * 2) * kernel + begin_column + left * 2
            one = tl.load(weight + number * channels + channel, mask=real, other=0)
            taps = taps + (one.to(tl.float32)[None, :],)  # noqa: RUF005
        for plane in tl.static_range(before + (planes - 1 + reach) // 2 + 1):
            deep = (deepest >= -plane) & (deepest < out_depth - plane)
            value = tl.load(y + (tap_at + plane * plane_size), mask=mask & deep, other=0)
            value = value.to(tl.float32)
            held = ()
            for into in tl.static_range(planes):
                if into + reach >= (plane - before) * 2 and into - (plane - before) * 2 <= reach:
                    meets = taps[into + reach - (plane - before) * 2]
                    held = held + (tl.fma(value, meets, sums[into]),)  # noqa: RUF005
                else:
                    held = held + (sums[into],)  # noqa: RUF005
            sums = held
    to = ((volume * depth + first) * height + row) * columns + column
    to = to[:, None] * channels + channel[None, :]
    mask = there[:, None] & real[None, :]
    for into in tl.static_range(planes):
        within = mask & (_alone(first) < depth - into)
        where = x + (to + into * height * columns * channels)
        tl.store(where, sums[into].to(x.dtype.element_ty), mask=within)


@triton.jit(do_not_specialize=[*_SIZES, "chunks", "tiles", "slices", "units"])
def correlate(
    x: tl.tensor, y: tl.tensor, parts: tl.tensor, depth: tl.tensor, height: tl.tensor,
    columns: tl.tensor, out_depth: tl.tensor, out_height: tl.tensor, out_columns: tl.tensor,
    chunks: tl.tensor, tiles: tl.tensor, slices: tl.tensor, units: tl.tensor, unit: tl.constexpr,
    kernel: tl.constexpr, stride: tl.constexpr, planes: tl.constexpr, taps: tl.constexpr,
    lanes: tl.constexpr,
) -> None:  # fmt: skip
    """Write parts of the gradient with respect to the weight, `(slices, channels, kernel³)`.

    A program takes every `slices`-th of the tiles, a row of `planes` planes, and goes along it. It
    holds the sums of `taps` rows and columns of the kernel, with all of its planes, until the end:
    a tile is `(taps, channels)`, so that what neighbours read is in the nearest cache.
    """
    channels = units * unit
    number = tl.program_id(0)
    tap = tl.program_id(1) * taps + tl.arange(0, taps)
    channel = tl.program_id(2) * lanes + tl.arange(0, lanes)
    real = (tap < kernel * kernel)[:, None] & (channel < channels)[None, :]
    plane_size, out_plane_size = height * columns * channels, out_height * out_columns * channels
    down, right = tap // kernel - kernel // 2, tap % kernel - kernel // 2
    sums = _nothing(taps, lanes, kernel)
    for tile in range(number, tiles, slices):
        line, first = tile // chunks, (tile % chunks) * planes
        volume, row = line // out_height, line % out_height
        in_row, in_depth = row * stride + down, first * stride - kernel // 2
        deepest, shallowest = _alone(in_depth), _alone(first)
        seen = real & ((in_row >= 0) & (in_row < height))[:, None]
        start = ((volume * depth + in_depth) * height + in_row) * columns + right
        at = start[:, None] * channels + channel[None, :]
        out_at = ((volume * out_depth + first) * out_height + row) * out_columns * channels
        out_at = out_at + tl.zeros((taps, 1), tl.int32) + channel[None, :]
        for column in range(out_columns):
            factors = ()
            for out in tl.static_range(planes):
                within = real & (shallowest < out_depth - out)
                factor = tl.load(y + (out_at + out * out_plane_size), mask=within, other=0)
                factors = factors + (factor.to(tl.float32),)  # noqa: RUF005
            in_column = column * stride + right
            mask = seen & ((in_column >= 0) & (in_column < columns))[:, None]
            for plane in tl.static_range((planes - 1) * stride + kernel):
                deep = (deepest >= -plane) & (deepest < depth - plane)
                value = tl.load(x + (at + plane * plane_size), mask=mask & deep, other=0)
                value = value.to(tl.float32)
                grown = ()
                for back in tl.static_range(kernel):
                    total = sums[back]
                    # The plane of output whose kernel has its number `back` here, if any.
                    if (
                        plane >= back
                        and (plane - back) % stride == 0
                        and plane - back < planes * stride
                    ):
                        total = tl.fma(value, factors[(plane - back) // stride], total)
                    grown = grown + (total,)  # noqa: RUF005
                sums = grown
            at += stride * channels
            out_at += channels
    to = parts + (number * channels + channel)[None, :] * (kernel * kernel * kernel) + tap[:, None]
    for back in tl.static_range(kernel):
        tl.store(to + back * kernel * kernel, sums[back], mask=real)
