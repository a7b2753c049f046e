"""Kernels that resample and erase on a GPU, for Triton to compile; they are launched by `on_gpu`.

One program makes a tile of one volume: the coordinates of its voxels come from the volume's row in
the table, and serve all channels. A tile is short along every axis, so that a turned one still
reads voxels that lie close together.

`spread` is the transpose of `resample`: the gradient by the volumes.
"""

from __future__ import annotations

import triton
import triton.language as tl

_UNSPECIALISED = ("channels", "depth", "height", "width", "boxes")  # one program for all numbers


@triton.jit(do_not_specialize=_UNSPECIALISED)
def resample(
    volumes: tl.tensor, table: tl.tensor, out: tl.tensor,
    channels: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor, boxes: tl.tensor,
    block_d: tl.constexpr, block_h: tl.constexpr, block_w: tl.constexpr,
) -> None:  # fmt: skip
    """Write a tile of a volume, resampled and with its boxes erased.

    Args:
        volumes: `(batch, channel, depth, height, width)`, contiguous.
        table: As `on_gpu.warp_on_gpu` takes it.
        out: Like `volumes`.
        channels: The volumes' shape, as are `depth`, `height` and `width`.
        depth: See `channels`.
        height: See `channels`.
        width: See `channels`.
        boxes: How many boxes a row of the table states.
        block_d: A tile's length along the depth, a power of two.
        block_h: Along the height.
        block_w: Along the width.
    """
    row = table + tl.program_id(1) * (13 + 18 * boxes)
    d, h, w, inside = _tile(depth, height, width, block_d, block_h, block_w)
    kept = _kept(row, boxes, d, h, w)
    here = (d * height + h) * width + w
    size = depth * height * width
    first = tl.program_id(1).to(tl.int64) * channels * size
    if tl.load(row) == 0:
        for _ in range(channels):
            value = tl.load(volumes + first + here, mask=inside, other=0).to(tl.float32)
            tl.store(out + first + here, (value * kept).to(out.dtype.element_ty), mask=inside)
            first += size
    else:
        x, u, left, right = _neighbours(row + 1, d, h, w, width)
        y, v, above, below = _neighbours(row + 5, d, h, w, height)
        z, t, before, behind = _neighbours(row + 9, d, h, w, depth)
        at = (z * height + y) * width + x
        for _ in range(channels):
            value = tl.zeros_like(u)
            for n in tl.static_range(8):
                weight = (u if n & 1 else 1 - u) * (v if n & 2 else 1 - v) * (t if n & 4 else 1 - t)
                seen = (right if n & 1 else left) & (below if n & 2 else above) & inside
                seen = seen & (behind if n & 4 else before)
                lines = (height if n & 4 else 0) + (1 if n & 2 else 0)
                step = lines * width + (1 if n & 1 else 0)
                read = tl.load(volumes + first + (at + step), mask=seen, other=0)
                value += weight * read.to(tl.float32)
            tl.store(out + first + here, (value * kept).to(out.dtype.element_ty), mask=inside)
            first += size


@triton.jit(do_not_specialize=_UNSPECIALISED)
def spread(
    gradient: tl.tensor, table: tl.tensor, out: tl.tensor,
    channels: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor, boxes: tl.tensor,
    block_d: tl.constexpr, block_h: tl.constexpr, block_w: tl.constexpr,
) -> None:  # fmt: skip
    """Add a tile of the gradient by the result to the gradient by a volume.

    Args:
        gradient: By the result, `(batch, channel, depth, height, width)`, contiguous.
        table: As `on_gpu.warp_on_gpu` takes it.
        out: Zeros in float32, of the same shape.
        channels: The volumes' shape, as are `depth`, `height` and `width`.
        depth: See `channels`.
        height: See `channels`.
        width: See `channels`.
        boxes: How many boxes a row of the table states.
        block_d: A tile's length along the depth, a power of two.
        block_h: Along the height.
        block_w: Along the width.
    """
    row = table + tl.program_id(1) * (13 + 18 * boxes)
    d, h, w, inside = _tile(depth, height, width, block_d, block_h, block_w)
    kept = _kept(row, boxes, d, h, w)
    here = (d * height + h) * width + w
    size = depth * height * width
    first = tl.program_id(1).to(tl.int64) * channels * size
    if tl.load(row) == 0:
        for _ in range(channels):
            value = tl.load(gradient + first + here, mask=inside, other=0).to(tl.float32)
            tl.store(out + first + here, value * kept, mask=inside)
            first += size
    else:
        x, u, left, right = _neighbours(row + 1, d, h, w, width)
        y, v, above, below = _neighbours(row + 5, d, h, w, height)
        z, t, before, behind = _neighbours(row + 9, d, h, w, depth)
        at = (z * height + y) * width + x
        for _ in range(channels):
            value = tl.load(gradient + first + here, mask=inside, other=0).to(tl.float32) * kept
            for n in tl.static_range(8):
                weight = (u if n & 1 else 1 - u) * (v if n & 2 else 1 - v) * (t if n & 4 else 1 - t)
                seen = (right if n & 1 else left) & (below if n & 2 else above) & inside
                seen = seen & (behind if n & 4 else before)
                lines = (height if n & 4 else 0) + (1 if n & 2 else 0)
                step = lines * width + (1 if n & 1 else 0)
                to = out + first + (at + step)
                tl.atomic_add(to, weight * value, mask=seen, sem="relaxed")
            first += size


@triton.jit
def _tile(
    depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    block_d: tl.constexpr, block_h: tl.constexpr, block_w: tl.constexpr,
) -> tuple[tl.tensor, ...]:  # fmt: skip
    """Return this program's voxels, (d, h, w), and which of them the volume has."""
    across, down = tl.cdiv(width, block_w), tl.cdiv(height, block_h)
    tile = tl.program_id(0)
    n = tl.arange(0, block_d * block_h * block_w)
    w = (tile % across) * block_w + n % block_w
    h = (tile // across % down) * block_h + n // block_w % block_h
    d = (tile // across // down) * block_d + n // block_w // block_h
    return d, h, w, (d < depth) & (h < height) & (w < width)


@triton.jit
def _place(numbers: tl.tensor, d: tl.tensor, h: tl.tensor, w: tl.tensor) -> tl.tensor:
    """Return one coordinate of where voxels come from, by its row of a matrix.

    The sum begins with where the line starts, as on a CPU: float32 then is wrong by less than
    10⁻³ voxels however large the volume that fits.
    """
    line = tl.load(numbers + 1) * h.to(tl.float32)
    line += tl.load(numbers + 2) * d.to(tl.float32) + tl.load(numbers + 3)
    return line + tl.load(numbers) * w.to(tl.float32)


@triton.jit
def _neighbours(
    numbers: tl.tensor, d: tl.tensor, h: tl.tensor, w: tl.tensor, size: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Return along one axis the lower neighbour, how far beyond it, and which of the two count.

    A neighbour counts that the volume has, and whose weight is not 0: what is not finite would
    come through all the same. Rounding makes the lower one's weight 0, too.
    """
    place = _place(numbers, d, h, w)
    place = tl.minimum(tl.where(place > -2, place, -2.0), size + 1.0)  # no number lies outside, too
    lower = tl.floor(place)
    beyond = place - lower
    cell = lower.to(tl.int32)
    near = (cell >= 0) & (cell < size) & (beyond < 1)
    far = (cell >= -1) & (cell < size - 1) & (beyond > 0)
    return cell, beyond, near, far


@triton.jit
def _kept(row: tl.tensor, boxes: tl.tensor, d: tl.tensor, h: tl.tensor, w: tl.tensor) -> tl.tensor:
    """Return how much of each voxel lies in no box."""
    kept = tl.full(d.shape, 1.0, tl.float32)
    for n in range(boxes):
        box = row + 13 + 18 * n
        share = tl.full(d.shape, 1.0, tl.float32)
        for axis in tl.static_range(3):
            place = _place(box + 4 * axis, d, h, w)
            low, high = tl.load(box + 12 + axis) - 1, tl.load(box + 15 + axis)
            share *= tl.minimum(tl.maximum(tl.minimum(place - low, high - place), 0.0), 1.0)
        kept *= 1 - share
    return kept
