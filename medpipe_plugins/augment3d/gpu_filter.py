"""The kernel that changes intensities on a GPU, for Triton to compile; see `gpu_stages`.

One launch is one stage: voxels are read, or a sum of their neighbours; go through the stage's
steps, each volume's by numbers of its own; and are written. Programs walk through a volume in
strides, so that there are few sums of parts where the next stage needs the mean.
"""

from __future__ import annotations

import triton
import triton.language as tl

# The kinds of steps by number, as `gpu_stages.KINDS` has them.
_LINEAR = tl.constexpr(1)
_CLAMP = tl.constexpr(2)
_CONTRAST = tl.constexpr(3)
_NOISE = tl.constexpr(4)
_ADD = tl.constexpr(5)

# One program for all such numbers; voxels that are read at once are told by `unit`.
_UNSPECIALISED = (
    "begin", "pitch", "slots", "in_place", "read_at", "write_at", "units", "depth", "height",
    "width", "kernel", "gap",
)  # fmt: skip


@triton.jit(do_not_specialize=_UNSPECIALISED)
def stage(
    volumes: tl.tensor, out: tl.tensor, table: tl.tensor, values: tl.tensor, sums: tl.tensor,
    begin: tl.tensor, pitch: tl.tensor, slots: tl.tensor, in_place: tl.tensor,
    read_at: tl.tensor, write_at: tl.tensor,
    units: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    kernel: tl.tensor, gap: tl.tensor,
    unit: tl.constexpr, smooth: tl.constexpr, parts: tl.constexpr, block: tl.constexpr,
) -> None:  # fmt: skip
    """Take volumes through one stage.

    Args:
        volumes: `(batch, channel, depth, height, width)`, contiguous.
        out: Of the same shape; the same memory where `in_place` is 1.
        table: Words of 32 bits, as `gpu_stages.packed` lays them out.
        values: What the stage's step "add" adds, a volume for each of its rows.
        sums: Sums of parts of each volume, `(pass, batch, programs of a volume)`.
        begin: Where in the table the stage begins.
        pitch: How many words each volume has in it.
        slots: How many steps there are.
        in_place: Whether volumes that the stage does not change need not be written.
        read_at: Where in `sums` those of the stage before begin; below 0 where none are needed.
        write_at: Where this one's begin.
        units: Voxels of a volume, all channels together, in units; below 2³⁰ in voxels.
        depth: The shape of a channel, as are `height` and `width`; or, where `smooth` is -1, how
            many voxels there are along the axis.
        height: See `depth`.
        width: See `depth`.
        kernel: Where `smooth` is -1, how many neighbours are summed along one axis.
        gap: Where `smooth` is -1, how many voxels lie between neighbours along it.
        unit: Voxels that may be read at once, for every volume begins at a multiple of so many.
        smooth: How many neighbours are summed along all three axes; 0 for none, -1 for one axis.
        parts: Programs of a volume, at most; a power of two.
        block: How many voxels a program changes at once, a power of two, at least 4.
    """
    volume, size = tl.program_id(1), units * unit
    row = table + begin + volume * pitch
    changed, summed, smoothed = tl.load(row), tl.load(row + 1), tl.load(row + 2)
    steps = row + 4
    weights = (steps + 4 * slots).to(tl.pointer_type(tl.float32), bitcast=True)
    first = volume.to(tl.int64) * size
    mean = 0.0
    if read_at >= 0:
        part = tl.arange(0, parts)
        there = sums + read_at + volume * tl.num_programs(0) + part
        mean = tl.sum(tl.load(there, mask=part < tl.num_programs(0), other=0), 0) / size
    idle = in_place * (1 - tl.maximum(changed, summed))
    total = tl.zeros((block,), tl.float32)
    for start in range(tl.program_id(0) * block, size * (1 - idle), tl.num_programs(0) * block):
        at = start + tl.arange(0, block)
        inside = at < size
        if smooth == 0:
            value = tl.load(volumes + first + at, mask=inside, other=0).to(tl.float32)
        else:
            if smoothed == 0:
                value = tl.load(volumes + first + at, mask=inside, other=0).to(tl.float32)
            elif smooth == -1:
                value = _along(volumes + first, weights, at, inside, depth, kernel, gap)
            else:
                value = _around(volumes + first, weights, at, inside, depth, height, width, smooth)
        for slot in range(slots):
            step = steps + 4 * slot
            numbers = step.to(tl.pointer_type(tl.float32), bitcast=True)
            kind = tl.load(step)
            if kind == _LINEAR:
                value = value * tl.load(numbers + 1) + tl.load(numbers + 2)
            elif kind == _CLAMP:
                value = tl.where(value < 0, 0.0, value)  # what is no number stays none
                value = tl.where(value > 1, 1.0, value)
            elif kind == _CONTRAST:
                factor = tl.load(numbers + 1)
                value = value * factor + (1 - factor) * mean
            elif kind == _NOISE:
                value += tl.load(numbers + 1) * _normal(step, start, block)
            elif kind == _ADD:
                there = values + tl.load(step + 1).to(tl.int64) * size + at
                value += tl.load(there, mask=inside, other=0).to(tl.float32)
        tl.store(out + first + at, value.to(out.dtype.element_ty), mask=inside)
        total += tl.where(inside, value, 0.0)
    if summed != 0:
        to = sums + write_at + volume * tl.num_programs(0) + tl.program_id(0)
        tl.store(to, tl.sum(total, 0))


@triton.jit
def _normal(step: tl.tensor, start: tl.tensor, block: tl.constexpr) -> tl.tensor:
    """Return standard normal numbers for a block's voxels, by the seed in a step.

    The numbers of a voxel depend on the seed and its place in the volume alone: four voxels after
    one another share a call of the generator, which makes four numbers.
    """
    low = tl.load(step + 2).to(tl.uint32, bitcast=True).to(tl.uint64)
    high = tl.load(step + 3).to(tl.uint32, bitcast=True).to(tl.uint64)
    four = start // 4 + tl.arange(0, block // 4)
    a, b, c, d = tl.randn4x((high << 32) | low, four)
    return tl.interleave(tl.interleave(a, c), tl.interleave(b, d))


@triton.jit
def _around(
    volume: tl.tensor, weights: tl.tensor, at: tl.tensor, inside: tl.tensor,
    depth: tl.tensor, height: tl.tensor, width: tl.tensor, kernel: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Return the sum of each voxel's neighbours along all axes, edges repeated."""
    w = at % width
    line = at // width
    h = line % height
    d = line // height % depth
    channel = line // height // depth * depth
    value = tl.zeros(at.shape, tl.float32)
    for i in tl.static_range(kernel):
        plane = channel + tl.minimum(tl.maximum(d + (i - kernel // 2), 0), depth - 1)
        in_plane = tl.zeros(at.shape, tl.float32)
        for j in tl.static_range(kernel):
            row = plane * height + tl.minimum(tl.maximum(h + (j - kernel // 2), 0), height - 1)
            in_line = tl.zeros(at.shape, tl.float32)
            for k in tl.static_range(kernel):
                column = tl.minimum(tl.maximum(w + (k - kernel // 2), 0), width - 1)
                read = tl.load(volume + (row * width + column), mask=inside, other=0)
                in_line += tl.load(weights + k) * read.to(tl.float32)
            in_plane += tl.load(weights + j) * in_line
        value += tl.load(weights + i) * in_plane
    return value


@triton.jit
def _along(
    volume: tl.tensor, weights: tl.tensor, at: tl.tensor, inside: tl.tensor,
    length: tl.tensor, kernel: tl.tensor, gap: tl.tensor,
) -> tl.tensor:  # fmt: skip
    """Return the sum of each voxel's neighbours along one axis, edges repeated."""
    place = at // gap % length
    value = tl.zeros(at.shape, tl.float32)
    for i in range(kernel):
        there = tl.minimum(tl.maximum(place + i - kernel // 2, 0), length - 1)
        read = tl.load(volume + (at + (there - place) * gap), mask=inside, other=0)
        value += tl.load(weights + i) * read.to(tl.float32)
    return value
