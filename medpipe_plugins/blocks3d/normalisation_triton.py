"""The passes of batch normalisation on a GPU, by kernels written in Triton.

Volumes are channels last; moments, weights and their gradients float32. Sums are taken in the same
order each time, and nothing is fetched from the GPU. Triton is imported with the first pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from medpipe_plugins.blocks3d.triton_launch import MOST, TYPES, ceil_div, factors, on_device_of

# Rows and channels of a tile, and how many programs share a sum at most.
_ROWS, _LANES, _SLICES = 64, 32, 256


class Running(NamedTuple):
    """What follows the moments of each batch: float32 by channel, and how many batches, int64.

    It moves `momentum` of the way; None for the mean of all batches.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float | None


class Affine(NamedTuple):
    """The function `value → weight · (value - mean) / √(variance + ε) + bias`, by channel.

    It is followed by clipping to [0, 6] where it `clips`. All tensors are float32.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    eps: float
    clips: bool


class Gradients(NamedTuple):
    """Gradients with respect to the volumes, in their type, and to weight and bias."""

    volumes: Tensor
    weight: Tensor
    bias: Tensor


def takes(volumes: Tensor) -> bool:
    """Say whether the kernels can normalise such volumes."""
    return (
        volumes.dtype in TYPES
        and volumes.ndim == 5
        and 0 < volumes.numel() < MOST
        and volumes.is_contiguous(memory_format=torch.channels_last_3d)
    )


def moments(volumes: Tensor, running: Running | None = None) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and (biased) variance, and let the running ones follow."""
    from medpipe_plugins.blocks3d import normalisation_triton_kernels as kernels

    over = _Rows.of(volumes)
    parts, (mean, variance) = over.parts(), over.empty(2)
    cumulative = running is not None and running.momentum is None
    if running is None:
        followed, share = (mean, variance, mean), 0.0
    else:
        followed, share = running[:3], running.momentum or 0.0
    if cumulative:
        followed[2].add_(1)
    with on_device_of(volumes):
        kernels.sum_moments[over.slices, over.blocks](
            over.values, parts, over.count, over.units, over.slices, over.unit, _ROWS, over.lanes,
            enable_fp_fusion=True,
        )  # fmt: skip
        kernels.finish_moments[(over.blocks,)](
            over.values, parts, mean, variance, *followed, share, over.count, over.units,
            over.slices, over.unit, running is not None, cumulative, _ROWS, over.lanes,
            enable_fp_fusion=True,
        )  # fmt: skip
    return mean, variance


def normalise(volumes: Tensor, by: Affine) -> Tensor:
    """Return the function's values, in the volumes' type and channels last."""
    from medpipe_plugins.blocks3d import normalisation_triton_kernels as kernels

    over, out = _Rows.of(volumes), torch.empty_like(volumes)
    with on_device_of(volumes):
        kernels.normalise[over.tiles, over.blocks](
            over.values, out, by.weight, by.bias, by.mean, by.variance, by.eps, over.count,
            over.units, over.unit, by.clips, _ROWS, over.lanes, enable_fp_fusion=True,
        )  # fmt: skip
    return out


def gradients(volumes: Tensor, gradient: Tensor, by: Affine) -> Gradients:
    """Return the gradients of the function whose moments are those of the volumes themselves.

    Ioffe and Szegedy, "Batch normalization", 2015, section 3, with the clipping's gradient first:
    it passes strictly between the limits.

    Args:
        volumes: What was normalised.
        gradient: Gradient with respect to the result, in any memory order.
        by: The function.
    """
    from medpipe_plugins.blocks3d import normalisation_triton_kernels as kernels

    over, out = _Rows.of(volumes), torch.empty_like(volumes)
    gradient = gradient.detach().contiguous(memory_format=torch.channels_last_3d)
    parts, (to_weight, to_bias) = over.parts(), over.empty(2)
    function = (by.weight, by.bias, by.mean, by.variance, by.eps)
    with on_device_of(volumes):
        kernels.sum_gradients[over.slices, over.blocks](
            over.values, gradient, parts, *function, over.count, over.units, over.slices,
            over.unit, by.clips, _ROWS, over.lanes, enable_fp_fusion=True,
        )  # fmt: skip
        kernels.finish_gradients[(over.blocks,)](
            parts, by.variance, to_weight, to_bias, by.eps, over.units, over.slices, over.unit,
            _ROWS, over.lanes, enable_fp_fusion=True,
        )  # fmt: skip
        kernels.spread_gradients[over.tiles, over.blocks](
            over.values, gradient, out, to_weight, to_bias, *function, over.count, over.units,
            over.unit, by.clips, _ROWS, over.lanes, enable_fp_fusion=True,
        )  # fmt: skip
    return Gradients(out, to_weight, to_bias)


@dataclass(frozen=True)
class _Rows:
    """Volumes as rows of channels, and how programs share them."""

    values: Tensor
    count: int
    units: int
    unit: int
    lanes: int
    tiles: int
    blocks: int
    slices: int

    @classmethod
    def of(cls, volumes: Tensor) -> _Rows:
        channels = volumes.shape[1]
        count = volumes.numel() // channels
        lanes = min(_LANES, 1 << (channels - 1).bit_length())
        tiles = ceil_div(count, _ROWS)
        return cls(
            volumes.detach(), count, *factors(channels), lanes, tiles, ceil_div(channels, lanes),
            min(tiles, _SLICES),
        )  # fmt: skip

    def parts(self) -> Tensor:
        return self.empty(self.slices * 2)

    def empty(self, lines: int) -> Tensor:
        """Return memory for so many numbers of each channel."""
        shape = (lines, self.units * self.unit)
        return torch.empty(shape, dtype=torch.float32, device=self.values.device)
