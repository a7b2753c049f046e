"""The three passes of a depthwise 3D convolution on a CPU, compiled with the extra `fast`.

Each returns float32 in the memory order of channels last, or as `like` lies; no result depends on
the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from medpipe_plugins.threads import in_threads, shares

if TYPE_CHECKING:
    from medpipe_plugins.blocks3d.depthwise_kernels import Part

KERNELS, STRIDES = (3, 5, 7), (1, 2)

# Columns that are held in registers at most; eight and a kernel's row fit sixteen registers.
_TILE = 8
# Edge length, in voxels, below which volumes are small.
_SMALL = 7
# Multiply-adds below which a second thread costs more than it saves.
_WORTH_A_THREAD = 16_000_000


def is_quicker(volumes: Tensor) -> bool:
    """Say whether oneDNN is slower at convolving these volumes; needs numba.

    Measured: oneDNN leaves out what is multiplied by padding, of which small volumes have much, and
    blocks of channels that are not full cost as much as full ones.
    """
    from medpipe_plugins.blocks3d.depthwise_kernels import LANES

    return min(volumes.shape[2:]) >= _SMALL and volumes.shape[1] % LANES == 0


def convolve(volumes: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return the convolution, padded by half the kernel's edge.

    Args:
        volumes: `(batch, channels, depth, height, width)`, float32.
        weight: `(channels, 1, kernel, kernel, kernel)`, float32.
        stride: Step of the kernel, 1 or 2.
    """
    volumes = _dense(volumes)
    sizes = tuple((edge - 1) // stride + 1 for edge in volumes.shape[2:])
    out = torch.empty(
        (*volumes.shape[:2], *sizes), dtype=torch.float32, memory_format=torch.channels_last_3d
    )
    _Sweep(volumes, out, weight.shape[-1], stride).run("y", _laid_out(weight))
    return out


def input_gradient(gradient: Tensor, weight: Tensor, stride: int, like: Tensor) -> Tensor:
    """Return the gradient with respect to the input.

    Args:
        gradient: Gradient with respect to the output, float32.
        weight: `(channels, 1, kernel, kernel, kernel)`, float32.
        stride: Step of the kernel, 1 or 2.
        like: The input, for its shape and memory order.
    """
    out = torch.empty_like(_dense(like))
    _Sweep(out, _dense(gradient), weight.shape[-1], stride).run("x", _laid_out(weight))
    return out


def weight_gradient(volumes: Tensor, gradient: Tensor, kernel: int, stride: int) -> Tensor:
    """Return the gradient with respect to the weight, `(channels, 1, kernel, kernel, kernel)`.

    Args:
        volumes: The input, float32.
        gradient: Gradient with respect to the output, float32.
        kernel: Edge length of the kernel, 3, 5 or 7.
        stride: Step of the kernel, 1 or 2.
    """
    from medpipe_plugins.blocks3d.depthwise_kernels import LANES

    channels = volumes.shape[1]
    out = _zeros(-(-channels // LANES), kernel**3 * LANES)
    _Sweep(_dense(volumes), _dense(gradient), kernel, stride).run("k", out)
    by_channel = out.view(-1, kernel**3, LANES).transpose(1, 2).reshape(-1, kernel**3)
    return by_channel[:channels].reshape(channels, 1, kernel, kernel, kernel)


@dataclass(frozen=True)
class _Sweep:
    """One pass: x, the side of the input, y, that of the output, and how the kernel moves."""

    x: Tensor
    y: Tensor
    kernel: int
    stride: int

    def run(self, part: Part, weight: Tensor) -> None:
        """Add to one of x, y and the weight, `(blocks, kernel³ · lanes)`; read the others."""
        batch, blocks = len(self.x), len(weight)
        threads = min(torch.get_num_threads(), self._worth())
        if part == "k" or batch < threads:  # all that is added to one number in one thread
            bounds = [(0, batch, *share) for share in shares(blocks, threads)]
        else:
            bounds = [(*share, 0, blocks) for share in shares(batch, threads)]
        in_threads(lambda *bound: self._sweep(part, weight, bound), bounds)

    def _worth(self) -> int:
        return max(self.y.numel() * self.kernel**3 // _WORTH_A_THREAD, 1)

    def _sweep(self, part: Part, weight: Tensor, bounds: tuple[int, ...]) -> None:
        from medpipe_plugins.blocks3d.depthwise_kernels import LANES, plane_kernel
        from medpipe_plugins.blocks3d.depthwise_loops import sweep

        x_size, y_size = tuple(self.x.shape[2:]), tuple(self.y.shape[2:])
        tiles = -(-y_size[2] // _TILE)
        tile = -(-y_size[2] // tiles)
        row = (tiles * tile - 1) * self.stride + self.kernel
        ring = _zeros(self.kernel * (x_size[1] + 2 * (self.kernel // 2)) * row * LANES)
        plane = _zeros(y_size[1] * tiles * tile * LANES)
        own = _zeros(self.kernel**2 * LANES)
        compiled = plane_kernel(part, self.kernel, self.stride, tile)
        arrays = (_flat(t).numpy() for t in (self.x, self.y, weight, ring, plane, own))
        sweep()(
            compiled.address, part != "x", part != "y", *arrays, _strides(self.x),
            _strides(self.y), x_size, y_size, self.x.shape[1], self.kernel, self.stride, tile,
            bounds,
        )  # fmt: skip


def _zeros(*shape: int) -> Tensor:
    """Return zeros of the kernels' own type, whatever torch's default type is."""
    return torch.zeros(shape, dtype=torch.float32)


def _dense(volumes: Tensor) -> Tensor:
    """Return the values without gaps, channels first if they are so, else channels last."""
    volumes = volumes.detach()
    if volumes.is_contiguous():
        return volumes
    return volumes.contiguous(memory_format=torch.channels_last_3d)


def _flat(dense: Tensor) -> Tensor:
    """Return the values in memory order."""
    return dense.as_strided((dense.numel(),), (1,))


def _strides(volumes: Tensor) -> tuple[int, ...]:
    """Return the strides `(volume, plane, row, column, channel)`."""
    channels, *size = volumes.shape[1:]
    voxels = math.prod(size)
    channel, voxel = (voxels, 1) if volumes.is_contiguous() else (1, channels)
    return channels * voxels, size[1] * size[2] * voxel, size[2] * voxel, voxel, channel


def _laid_out(weight: Tensor) -> Tensor:
    """Return the weight as `(blocks, kernel³ · lanes)`, zeros in lanes without a channel."""
    from medpipe_plugins.blocks3d.depthwise_kernels import LANES

    flat = weight.detach().reshape(len(weight), -1)
    padded = F.pad(flat, (0, 0, 0, -len(flat) % LANES))
    return padded.view(-1, LANES, flat.shape[1]).transpose(1, 2).reshape(-1, flat.shape[1] * LANES)
