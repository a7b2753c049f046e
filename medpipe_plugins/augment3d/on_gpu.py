"""Resampling, erasing and filtering on a GPU, by kernels that Triton compiles.

CUDA builds of torch bring Triton along on Linux; without it torch's own operators are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from medpipe_plugins.augment3d.base import uncast
from medpipe_plugins.augment3d.changes import Add, Clamp, Contrast, Linear, Smooth, SmoothAxes
from medpipe_plugins.augment3d.gpu_stages import planned
from medpipe_plugins.triton_extra import has_triton
from medpipe_plugins.triton_launcher import launcher
from medpipe_plugins.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from medpipe_plugins.augment3d.changes import Change
    from medpipe_plugins.augment3d.gpu_stages import Stage

# Modules of kernels, which import Triton.
_WARPING = "medpipe_plugins.augment3d.gpu_warp"
_FILTERING = "medpipe_plugins.augment3d.gpu_filter"
_TYPES = (torch.float32, torch.bfloat16, torch.float16)
# Voxels of one volume that 32 bits can count, with room for the largest block beyond the last.
_MOST_VOXELS = 2**30
# Volumes along the second axis of a grid of programs.
_MOST_VOLUMES = 2**16 - 1
# A tile's longest edges along height and width, and its voxels.
_TILE = (4, 32, 256)
_WARPS = 8
# Voxels that a program filters at once, and its warps: four voxels of a thread lie side by side.
_BLOCK, _BLOCK_WARPS = 512, 4
# Where neighbours are summed, those of a thread's neighbours are to lie side by side.
_SMOOTH_BLOCK, _SMOOTH_WARPS = 256, 8
# Programs of a volume, which leave so many sums.
_PARTS = 1024
# Voxels that a thread reads at once where every volume begins at a multiple of so many.
_AT_ONCE = 4


def can_launch(volumes: Tensor) -> bool:
    """Say whether the kernels take these volumes.

    Not where torch is asked for algorithms that always sum in the same order and a gradient is
    wanted: the kernels' does not.
    """
    return (
        volumes.device.type == "cuda"
        and volumes.dtype in _TYPES
        and not watched(volumes)
        and not (volumes.requires_grad and torch.are_deterministic_algorithms_enabled())
        and len(volumes) <= _MOST_VOLUMES
        and volumes[:1].numel() < _MOST_VOXELS
        and has_triton()
    )


def warp_on_gpu(volumes: Tensor, table: Tensor, boxes: int) -> Tensor:
    """Return the volumes resampled, trilinear with zeros from outside, and with boxes erased.

    Coordinates and sums are in float32; the result is rounded once. The gradient by the volumes is
    the transpose, by additions whose order is not fixed: two runs differ by rounding.

    Args:
        volumes: `(batch, channel, depth, height, width)`, as `can_launch` takes them.
        table: float32 on the volumes' device, a row for each, `(batch, 13 + 18 · boxes)`: 1, or 0
            for a volume that stays where it is; where voxels come from, a `(3, 4)` matrix in
            voxel coordinates (x, y, z) = (width, height, depth); then for each box a matrix from
            voxels of the result to the coordinates in which the box is stated, its first voxel
            (x, y, z), and the one after its last. A box that begins at inf and ends at −inf is
            none.
        boxes: How many boxes a row states.

    Returns:
        Volumes of the same shape and dtype, contiguous.
    """
    if volumes.requires_grad and torch.is_grad_enabled():
        warped: Tensor = _Warped.apply(volumes, table, boxes)  # type: ignore[no-untyped-call]
        return warped
    return _launched("resample", volumes.contiguous(), table, boxes, volumes.dtype)


class _Warped(torch.autograd.Function):
    """The kernel, and its transpose: it is linear in the volumes."""

    @staticmethod
    def forward(ctx: Any, volumes: Tensor, table: Tensor, boxes: int) -> Tensor:
        ctx.save_for_backward(table)
        ctx.boxes = boxes
        return _launched("resample", volumes.contiguous(), table, boxes, volumes.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (table,) = ctx.saved_tensors
        spread = _launched("spread", gradient.contiguous(), table, ctx.boxes, torch.float32)
        return spread.to(gradient.dtype), None, None


def _launched(
    kernel: str, volumes: Tensor, table: Tensor, boxes: int, dtype: torch.dtype
) -> Tensor:
    # What is spread is added to what is there.
    make = torch.zeros_like if kernel == "spread" else torch.empty_like
    out = make(volumes, dtype=dtype)
    if out.numel() == 0:
        return out
    batch, channels, *shape = volumes.shape
    tile = _tile(*shape)
    tiles = 1
    for size, length in zip(shape, tile, strict=True):
        tiles *= -(-size // length)
    tensors, numbers = (volumes, table.contiguous(), out), (channels, *shape, boxes)
    launcher(_WARPING, kernel)((tiles, batch, 1), tensors, numbers, tile, _WARPS)
    return out


def filter_on_gpu(volumes: Tensor, steps: Sequence[tuple[str, Any, Any]]) -> Tensor:
    """Return the volumes after some steps, each of them on some volumes.

    Sums are in float32; the result is rounded once. Where the volumes require a gradient, torch's
    own operators take the steps.

    Args:
        volumes: `(batch, channel, depth, height, width)`, as `can_launch` takes them.
        steps: Of each step its kind; which volumes, `(count,)`, int64, rising; and its
            numbers for each of these, `(count, numbers)`, on the CPU: of "linear" a factor and an
            offset; of "clamp" none; of "contrast" a factor; of "smooth" the weights of neighbours
            along one axis, of "smooth-axes" those along depth, height and width. Of "noise" it is
            a standard deviation, one or `(count,)`, and seeds, `(count,)`, int64: each volume's
            noise depends on its seed alone. Of "add" it is what is added, `(count, channel,
            depth, height, width)`, on the volumes' device. See
            `medpipe_plugins.augment3d.filtering`.

    Returns:
        Volumes of the same shape and dtype, contiguous.
    """
    if volumes.requires_grad and torch.is_grad_enabled():
        return _by_torch(volumes, steps)
    stages = planned(steps)
    volumes = volumes.detach().contiguous()
    if volumes.numel() == 0:
        return volumes.clone()
    batch, size = len(volumes), volumes[0].numel()
    programs = min(-(-size // _BLOCK), _PARTS)
    words = [stage.words(batch) for stage in stages]
    table = torch.from_numpy(np.concatenate([part.ravel() for part in words]))
    table = table.to(volumes.device, non_blocking=True)
    sums = volumes.new_empty(len(stages), batch, programs, dtype=torch.float32)
    buffers = _buffers(volumes, stages)
    begin = 0
    for n, stage in enumerate(stages):
        source, to = buffers[n : n + 2]
        _launch_stage(stage, source, to, table, begin, sums, n)
        begin += words[n].size
    return buffers[-1]


def _launch_stage(
    stage: Stage, source: Tensor, to: Tensor, table: Tensor, begin: int, sums: Tensor, n: int
) -> None:
    batch, channels, depth, height, width = source.shape
    values = source if stage.values is None else stage.values.contiguous()
    write_at = n * sums[0].numel()
    read_at = write_at - sums[0].numel() if stage.needs_mean else -1
    gap = {2: height * width, 3: width}.get(stage.axis, 1)
    length = source.shape[stage.axis] if stage.smooth < 0 else depth
    block, warps = (_SMOOTH_BLOCK, _SMOOTH_WARPS) if stage.smooth else (_BLOCK, _BLOCK_WARPS)
    size = channels * depth * height * width
    unit = 1 if size % _AT_ONCE else _AT_ONCE
    launcher(_FILTERING, "stage")(
        (sums.shape[2], batch, 1),
        (source, to, table, values, sums),
        (begin, stage.pitch, len(stage.steps), int(to is source), read_at, write_at,
         size // unit, length, height, width, stage.weights.shape[1], gap),
        (unit, stage.smooth, _PARTS, block),
        warps,
    )  # fmt: skip


def _buffers(volumes: Tensor, stages: Sequence[Stage]) -> list[Tensor]:
    """Return what each stage reads, and last what the last one writes.

    Only one that smooths may not write where it reads.
    """
    buffers = [torch.empty_like(volumes)]
    wide = [buffers[0]] if volumes.dtype == torch.float32 else []
    for stage in stages[:0:-1]:
        free = [t for t in wide if not stage.smooth or t is not buffers[0]]
        if not free:
            free = [torch.empty_like(volumes, dtype=torch.float32)]
            wide += free
        buffers.insert(0, buffers[0] if any(t is buffers[0] for t in free) else free[0])
    return [volumes, *buffers]


def _by_torch(volumes: Tensor, steps: Sequence[tuple[str, Any, Any]]) -> Tensor:
    """Take the steps by torch's own operators, which have a gradient."""
    result = volumes.float()
    with uncast(volumes):
        for kind, rows, numbers in steps:
            where = torch.as_tensor(rows).to(volumes.device, non_blocking=True)
            part = result.index_select(0, where)
            result = result.index_copy(0, where, _change(kind, part, numbers)(part))
    return result.to(volumes.dtype)


def _change(kind: str, volumes: Tensor, numbers: Any) -> Change:
    if kind == "add":
        return Add(numbers)
    if kind == "clamp":
        return Clamp(len(volumes))
    if kind == "noise":
        none = torch.zeros_like(volumes, requires_grad=False)
        return Add(filter_on_gpu(none, [(kind, np.arange(len(none)), numbers)]))
    told = torch.as_tensor(numbers, dtype=torch.float32).to(volumes.device, non_blocking=True)
    if kind == "smooth":
        return Smooth(told)
    if kind == "smooth-axes":
        return SmoothAxes(told.reshape(len(told), 3, -1))
    return Contrast(told[:, 0]) if kind == "contrast" else Linear(*told.T)


def _tile(depth: int, height: int, width: int) -> tuple[int, int, int]:
    """Return a tile's edges, powers of two that reach little beyond the volume."""
    down, across, voxels = _TILE
    across = min(across, _power(width))
    down = min(down, _power(height))
    return min(voxels // across // down, _power(depth)), down, across


def _power(number: int) -> int:
    """Return the next power of two."""
    return 1 << (number - 1).bit_length()
