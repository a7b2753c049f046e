"""The three passes of a depthwise 3D convolution on a GPU, by kernels written in Triton.

All volumes come out channels last, in the input's type; sums are float32, are taken in the same
order each time, and so have the same bits. Triton is imported with the first pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medpipe_plugins.blocks3d.triton_launch import MOST, TYPES, ceil_div, factors, on_device_of

KERNELS, STRIDES = (3, 5, 7), (1, 2)
# Columns of a tile: few, so that few lie beyond the last one and neighbours read the same.
_ACROSS = 4
# Planes that a program may hold instead of the table's; few, for each is compiled for itself.
_PLANES = (4, 8)


class Tiling(NamedTuple):
    """How the work of a pass is cut into programs; the kernels say what the sizes mean.

    Args:
        planes: Planes that a program holds.
        places: Places of a tile, a power of two.
        lanes: Channels of a tile, a power of two.
        warps: Warps of a program.
        rows: Of the kernel, whose sums a program of the weight's gradient holds: 1 or all.
        slices: Programs that share the sum over all places, for the weight's gradient.
    """

    planes: int
    places: int
    lanes: int
    warps: int
    rows: int = 1
    slices: int = 64


def takes(volumes: Tensor, kernel: int, stride: int) -> bool:
    """Say whether the kernels can convolve such volumes."""
    return (
        volumes.dtype in TYPES
        and kernel in KERNELS
        and stride in STRIDES
        and 0 < volumes.numel() < MOST
    )


def convolve(
    volumes: Tensor, weight: Tensor, stride: int, *, tiling: Tiling | None = None
) -> Tensor:
    """Return the convolution, padded by half the kernel's edge.

    Args:
        volumes: `(batch, channels, depth, height, width)`.
        weight: `(channels, 1, kernel, kernel, kernel)`.
        stride: Step of the kernel, 1 or 2.
        tiling: Another than the table's.
    """
    return _convolve(volumes, weight, stride, flipped=False, tiling=tiling)


def input_gradient(
    gradient: Tensor, weight: Tensor, stride: int, like: Tensor, *, tiling: Tiling | None = None
) -> Tensor:
    """Return the gradient with respect to the input.

    Args:
        gradient: Gradient with respect to the output.
        weight: `(channels, 1, kernel, kernel, kernel)`.
        stride: Step of the kernel, 1 or 2.
        like: The input, for its shape.
        tiling: Another than the table's.
    """
    if stride == 1:
        return _convolve(gradient, weight, 1, flipped=True, tiling=tiling)
    from medpipe_plugins.blocks3d.depthwise_triton_kernels import spread

    kernel, channels = weight.shape[-1], len(weight)
    gradient = _last(gradient)
    out = torch.empty(
        like.shape, dtype=gradient.dtype, device=gradient.device,
        memory_format=torch.channels_last_3d,
    )  # fmt: skip
    by = tiling or tiling_of("input", kernel, 2, gradient.dtype)
    depth, height, width = like.shape[2:]
    rows, columns = len(like) * _half(height), _half(width)
    across = min(_ACROSS, by.places)
    patches = ceil_div(rows, by.places // across) * ceil_div(columns, across)
    laid_out = _laid_out(weight, gradient.dtype)
    with on_device_of(out):
        spread[4 * patches, ceil_div(depth, by.planes), ceil_div(channels, by.lanes)](
            gradient, laid_out, out, *like.shape[2:], *gradient.shape[2:], rows, patches,
            *factors(channels), kernel, by.planes, by.places, across, by.lanes,
            num_warps=by.warps, num_stages=1, enable_fp_fusion=True,
        )  # fmt: skip
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
    from medpipe_plugins.blocks3d.depthwise_triton_kernels import correlate

    volumes, gradient = _last(volumes), _last(gradient)
    batch, channels, depth, height, width = gradient.shape
    by = tiling or tiling_of("weight", kernel, stride, gradient.dtype)
    across = min(_ACROSS, by.places)
    chunks = ceil_div(depth, by.planes)
    tiles = ceil_div(batch * height, by.places // across) * ceil_div(width, across) * chunks
    slices = min(by.slices, tiles)
    parts = torch.empty(
        (slices, channels, 1, kernel, kernel, kernel), dtype=torch.float32, device=gradient.device
    )
    with on_device_of(parts):
        correlate[slices, kernel // by.rows, ceil_div(channels, by.lanes)](
            volumes, gradient, parts, *volumes.shape[2:], *gradient.shape[2:], batch * height,
            chunks, tiles, slices, *factors(channels), kernel, stride, by.rows, by.planes,
            by.places, across, by.lanes, num_warps=by.warps, num_stages=1, enable_fp_fusion=True,
        )  # fmt: skip
    return parts.sum(0)


def tiling_of(part: str, kernel: int, stride: int, dtype: torch.dtype) -> Tiling:
    """Return the table's tiling of a pass, `forward`, `input` or `weight`."""
    if part == "input" and stride == 1:
        part = "forward"
    return TILINGS[part, kernel, stride, dtype.itemsize]


def _convolve(
    volumes: Tensor, weight: Tensor, stride: int, *, flipped: bool, tiling: Tiling | None
) -> Tensor:
    from medpipe_plugins.blocks3d.depthwise_triton_kernels import convolve

    volumes = _last(volumes)
    batch, channels, *size = volumes.shape
    sizes = [(edge - 1) // stride + 1 for edge in size]
    out = torch.empty(
        (batch, channels, *sizes), dtype=volumes.dtype, device=volumes.device,
        memory_format=torch.channels_last_3d,
    )  # fmt: skip
    kernel = weight.shape[-1]
    by = tiling or _fitted(tiling_of("forward", kernel, stride, volumes.dtype), sizes[0])
    across = min(_ACROSS, by.places)
    patches = ceil_div(batch * sizes[1], by.places // across) * ceil_div(sizes[2], across)
    laid_out = _laid_out(weight, volumes.dtype)
    with on_device_of(out):
        convolve[patches, ceil_div(sizes[0], by.planes), ceil_div(channels, by.lanes)](
            volumes, laid_out, out, *size, *sizes, batch * sizes[1], *factors(channels), kernel,
            stride, flipped, by.planes, by.places, across, by.lanes,
            num_warps=by.warps, num_stages=1, enable_fp_fusion=True,
        )  # fmt: skip
    return out


def _fitted(tiling: Tiling, depth: int) -> Tiling:
    """Return the tiling with fewer planes where many would lie beyond the last one."""
    each = ceil_div(depth, ceil_div(depth, tiling.planes))
    planes = next((planes for planes in _PLANES if each <= planes < tiling.planes), tiling.planes)
    return tiling._replace(planes=planes)


def _last(volumes: Tensor) -> Tensor:
    """Return the values without gaps, channels last by their strides as well."""
    return volumes.detach().contiguous(memory_format=torch.channels_last_3d)


def _laid_out(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight as `(kernel³, channels)`."""
    flat = weight.detach().flatten(1).t()
    return torch.empty_like(flat, dtype=dtype, memory_format=torch.contiguous_format).copy_(flat)


def _half(edge: int) -> int:
    return (edge + 1) // 2


def _table() -> dict[tuple[str, int, int, int], Tiling]:
    """Return the tilings by pass, kernel, stride and bytes of a value.

    The quickest on an H200 for (8, 96, 28³) and (8, 192, 14³) together: `gpu_configurations.py`
    among the benchmarks.
    """
    table: dict[tuple[str, int, int, int], Tiling] = {}
    for bytes_ in (4, 2):
        for kernel in KERNELS:
            table["forward", kernel, 1, bytes_] = Tiling(14, 16, 32, 4)
            table["forward", kernel, 2, bytes_] = Tiling(4, 16, 32, 4)
            table["input", kernel, 2, bytes_] = Tiling(4, 32, 32, 4)
            table["weight", kernel, 1, bytes_] = Tiling(7, 8, 32, 4)
            table["weight", kernel, 2, bytes_] = Tiling(4, 8, 32, 4)
        planes = 4 if bytes_ == 4 else 7
        table["weight", 3, 1, bytes_] = Tiling(planes, 8, 32, 4, rows=3, slices=128)
    return table


TILINGS = _table()
