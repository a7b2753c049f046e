"""The passes of batch normalisation on a GPU, by kernels written in Triton.

Volumes are channels last; moments, weights and their gradients float32. Sums are taken in the same
order each time, and nothing is fetched from the GPU. Triton is imported with the first pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from medpipe_plugins.blocks3d.triton_layout import MOST, TYPES, ceil_div, factors
from medpipe_plugins.triton_launcher import launcher

_MODULE = "medpipe_plugins.blocks3d.normalisation_triton_kernels"  # which imports Triton
# Rows and channels of a tile, and how many programs share a sum at most.
_ROWS, _LANES, _SLICES = 64, 32, 256
_LIMITS, _NO_LIMITS = (0.0, 6.0), (-math.inf, math.inf)


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

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What there is for each channel."""
        return self.weight, self.bias, self.mean, self.variance

    @property
    def numbers(self) -> tuple[float, float, float]:
        """The stabiliser, and the limits."""
        return (float(self.eps), *(_LIMITS if self.clips else _NO_LIMITS))


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
    over = _Rows.of(volumes)
    parts, (mean, variance) = over.parts(), over.empty(2).unbind()
    if running is None:
        batches = torch.empty((1,), dtype=torch.int64, device=volumes.device)
        followed, share, mode = (mean, variance, batches), 0.0, 0
    elif running.momentum is None:
        followed, share, mode = running[:3], 0.0, 2
        running.batches.add_(1)
    else:
        followed, share, mode = running[:3], float(running.momentum), 1
    launcher(_MODULE, "sum_moments")(
        (over.slices, over.blocks, 1), (volumes, parts), (over.rows, over.units, over.slices),
        over.constants,
    )  # fmt: skip
    launcher(_MODULE, "finish_moments")(
        (over.blocks, 1, 1), (volumes, parts, mean, variance, *followed),
        (share, over.rows, over.units, over.slices, mode), over.constants,
    )  # fmt: skip
    return mean, variance


def normalise(volumes: Tensor, by: Affine) -> Tensor:
    """Return the function's values, in the volumes' type and channels last."""
    over, out = _Rows.of(volumes), torch.empty_like(volumes)
    launcher(_MODULE, "normalise")(
        (over.tiles, over.blocks, 1), (volumes, out, *by.tensors),
        (*by.numbers, over.rows, over.units), over.constants,
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
    over, out = _Rows.of(volumes), torch.empty_like(volumes)
    gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
    parts, (to_weight, to_bias) = over.parts(), over.empty(2).unbind()
    launcher(_MODULE, "sum_gradients")(
        (over.slices, over.blocks, 1), (volumes, gradient, parts, *by.tensors),
        (*by.numbers, over.rows, over.units, over.slices), over.constants,
    )  # fmt: skip
    launcher(_MODULE, "finish_gradients")(
        (over.blocks, 1, 1), (parts, by.variance, to_weight, to_bias),
        (float(by.eps), over.units, over.slices), over.constants,
    )  # fmt: skip
    launcher(_MODULE, "spread_gradients")(
        (over.tiles, over.blocks, 1),
        (volumes, gradient, out, to_weight, to_bias, *by.tensors),
        (*by.numbers, over.rows, over.units), over.constants,
    )  # fmt: skip
    return Gradients(out, to_weight, to_bias)


class _Rows(NamedTuple):
    """Volumes as rows of channels, and how programs share them."""

    values: Tensor
    rows: int
    units: int
    constants: tuple[int, int, int]
    tiles: int
    blocks: int
    slices: int

    @classmethod
    def of(cls, volumes: Tensor) -> _Rows:
        channels = volumes.shape[1]
        count = volumes.numel() // channels
        lanes = min(_LANES, 1 << (channels - 1).bit_length())
        tiles, (units, unit) = ceil_div(count, _ROWS), factors(channels)
        return cls(
            volumes, count, units, (unit, _ROWS, lanes), tiles, ceil_div(channels, lanes),
            min(tiles, _SLICES),
        )  # fmt: skip

    def parts(self) -> Tensor:
        return self.empty(self.slices * 2)

    def empty(self, lines: int) -> Tensor:
        """Return memory for so many numbers of each channel."""
        shape = (lines, self.values.shape[1])
        return torch.empty(shape, dtype=torch.float32, device=self.values.device)
