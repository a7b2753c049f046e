"""The three passes of a depthwise 3D convolution on a GPU, by kernels written in Triton.

All volumes come out channels last, in the input's type; sums are float32, are taken in the same
order each time, and so have the same bits. Triton is imported with the first pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from medpipe_plugins.blocks3d.triton_layout import MOST, TYPES, ceil_div, factors
from medpipe_plugins.triton_launcher import launcher

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODULE = "medpipe_plugins.blocks3d.depthwise_triton_kernels"  # which imports Triton
KERNELS, STRIDES = (3, 5, 7), (1, 2)
# Columns of a tile: few, so that few lie beyond the last one and neighbours read the same.
_ACROSS = 4
# Planes that a program may hold instead of the table's; no more, for each is compiled for itself.
_FEW = 4


class Tiling(NamedTuple):
    """How the work of a pass is cut into programs; the kernels say what the sizes mean.

    Args:
        planes: Planes that a program holds.
        places: Places of a tile, a power of two; for the weight's gradient, rows and columns of the
            kernel.
        lanes: Channels of a tile, a power of two.
        warps: Warps of a program.
        slices: Programs that share the sum over all places, for the weight's gradient.
    """

    planes: int
    places: int
    lanes: int
    warps: int
    slices: int = 64


def takes(volumes: Tensor, kernel: int, stride: int) -> bool:
    """Say whether the kernels can convolve such volumes."""
    return (
        volumes.dtype in TYPES
        and kernel in KERNELS
        and stride in STRIDES
        and 0 < volumes.numel() < MOST
    )


def laid_out(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight `(channels, 1, kernel, kernel, kernel)` as `(kernel³, channels)`."""
    return weight.flatten(1).t().to(dtype, copy=True, memory_format=torch.contiguous_format)


def convolve(
    volumes: Tensor, numbers: Tensor, kernel: int, stride: int, *, tiling: Tiling | None = None
) -> Tensor:
    """Return the convolution, padded by half the kernel's edge.

    Args:
        volumes: `(batch, channels, depth, height, width)`.
        numbers: The kernel's, `laid_out`.
        kernel: Edge length of the kernel, 3, 5 or 7.
        stride: Step of the kernel, 1 or 2.
        tiling: Another than the table's.
    """
    return _convolve(volumes, numbers, kernel, stride, flipped=False, tiling=tiling)


def input_gradient(
    gradient: Tensor, numbers: Tensor, kernel: int, stride: int, shape: torch.Size,
    *, tiling: Tiling | None = None,
) -> Tensor:  # fmt: skip
    """Return the gradient with respect to the input.

    Args:
        gradient: Gradient with respect to the output.
        numbers: The kernel's, `laid_out`.
        kernel: Edge length of the kernel, 3, 5 or 7.
        stride: Step of the kernel, 1 or 2.
        shape: The input's.
        tiling: Another than the table's.
    """
    if stride == 1:
        return _convolve(gradient, numbers, kernel, 1, flipped=True, tiling=tiling)
    gradient = _last(gradient)
    out = _empty(shape, gradient)
    by = tiling or tiling_of("input", kernel, 2, gradient.dtype)
    batch, channels, depth, height, width = shape
    rows, columns = batch * _half(height), _half(width)
    across = min(_ACROSS, by.places)
    patches = ceil_div(rows, by.places // across) * ceil_div(columns, across)
    units, unit = factors(channels)
    launcher(_MODULE, "spread")(
        (4 * patches, ceil_div(depth, by.planes), ceil_div(channels, by.lanes)),
        (gradient, numbers, out),
        (depth, height, width, *gradient.shape[2:], rows, patches, units),
        (unit, kernel, by.planes, by.places, across, by.lanes),
        by.warps,
    )
    return out


def weight_gradient(
    volumes: Tensor, gradient: Tensor, kernel: int, stride: int, *, tiling: Tiling | None = None
) -> Tensor:
    """Return the gradient with respect to the weight, `(channels, 1, kernel, kernel, kernel)`.

    It is float32 whatever the volumes are.

    Args:
        volumes: The input.
        gradient: Gradient with respect to the output.
        kernel: Edge length of the kernel, 3, 5 or 7.
        stride: Step of the kernel, 1 or 2.
        tiling: Another than the table's.
    """
    volumes, gradient = _last(volumes), _last(gradient)
    batch, channels, depth, height, width = gradient.shape
    by = tiling or tiling_of("weight", kernel, stride, gradient.dtype)
    chunks = ceil_div(depth, by.planes)
    tiles = batch * height * chunks
    slices = min(by.slices, tiles)
    parts = torch.empty(
        (slices, channels, 1, kernel, kernel, kernel), dtype=torch.float32, device=gradient.device
    )
    units, unit = factors(channels)
    launcher(_MODULE, "correlate")(
        (slices, ceil_div(kernel * kernel, by.places), ceil_div(channels, by.lanes)),
        (volumes, gradient, parts),
        (*volumes.shape[2:], depth, height, width, chunks, tiles, slices, units),
        (unit, kernel, stride, by.planes, by.places, by.lanes),
        by.warps,
    )
    return parts.sum(0)


def tiling_of(part: str, kernel: int, stride: int, dtype: torch.dtype) -> Tiling:
    """Return the table's tiling of a pass, `forward`, `input` or `weight`."""
    if part == "input" and stride == 1:
        part = "forward"
    return TILINGS[part, kernel, stride, dtype.itemsize]


def _convolve(
    volumes: Tensor, numbers: Tensor, kernel: int, stride: int, *, flipped: bool,
    tiling: Tiling | None,
) -> Tensor:  # fmt: skip
    volumes = _last(volumes)
    batch, channels, depth, height, width = volumes.shape
    deep, high, wide = [(edge - 1) // stride + 1 for edge in (depth, height, width)]
    out = _empty((batch, channels, deep, high, wide), volumes)
    by = tiling or _fitted(tiling_of("forward", kernel, stride, volumes.dtype), deep)
    across = min(_ACROSS, by.places)
    patches = ceil_div(batch * high, by.places // across) * ceil_div(wide, across)
    units, unit = factors(channels)
    launcher(_MODULE, "convolve")(
        (patches, ceil_div(deep, by.planes), ceil_div(channels, by.lanes)),
        (volumes, numbers, out),
        (depth, height, width, deep, high, wide, batch * high, units),
        (unit, kernel, stride, flipped, by.planes, by.places, across, by.lanes),
        by.warps,
    )
    return out


def _fitted(tiling: Tiling, depth: int) -> Tiling:
    """Return the tiling with few planes where many would lie beyond the last one."""
    return tiling._replace(planes=_FEW) if depth <= _FEW < tiling.planes else tiling


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d
    )


def _last(volumes: Tensor) -> Tensor:
    """Return the values without gaps, channels last by their strides as well."""
    return volumes.contiguous(memory_format=torch.channels_last_3d)


def _half(edge: int) -> int:
    return (edge + 1) // 2


def _table() -> dict[tuple[str, int, int, int], Tiling]:
    """Return the tilings by pass, kernel, stride and bytes of a value.

    Measured on an H200 for (8, 96, 28³) and (8, 192, 14³) together by `gpu_configurations.py` among
    the benchmarks. 14 planes of the forward pass are a little quicker than 8 and take twice as long
    to compile. Those of the weight's gradient follow from what its inner loop reads and holds.
    """
    table: dict[tuple[str, int, int, int], Tiling] = {}
    for bytes_ in (4, 2):
        for kernel in KERNELS:
            table["forward", kernel, 1, bytes_] = Tiling(8, 16, 32, 4)
            table["forward", kernel, 2, bytes_] = Tiling(4, 16, 32, 4)
            table["input", kernel, 2, bytes_] = Tiling(4, 32, 32, 4)
            table["weight", kernel, 1, bytes_] = Tiling(7, 8, 32, 2)
            table["weight", kernel, 2, bytes_] = Tiling(4, 8, 32, 2)
        for stride, planes in ((1, 7), (2, 4)):
            table["weight", 3, stride, bytes_] = Tiling(planes, 4, 32, 1, slices=256)
    return table


TILINGS = _table()
