"""Depthwise 3D convolution that trains at a bearable speed on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medpipe_plugins.blocks3d.weight_gradient import depthwise_weight_gradient


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise `nn.Conv3d` with odd cubic kernel, same padding and no bias.

    Weights, state and results are those of `nn.Conv3d(channels, channels, kernel,
    padding=kernel // 2, groups=channels, bias=False)`. While training on a CPU at stride 1 it
    differs in how it gets there: tensors are kept in channels-last order, the gradient with respect
    to the input is computed as a convolution with the flipped kernel, which torch's own backward
    pass is several times slower at, and that of the weight has a module of its own. Second
    derivatives are refused with torch's error.

    Args:
        channels: Number of channels, in and out.
        kernel: Odd edge length of the kernel, in voxels.
        stride: Step of the kernel, in voxels, for all three axes.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a centre, but is {kernel}")
        super().__init__(
            channels,
            channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=channels,
            bias=False,
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Convolve `(batch, channels, depth, height, width)`."""
        if not self._worthwhile(input):
            return super().forward(input)
        output: Tensor = _FlippedBackward.apply(  # type: ignore[no-untyped-call]
            input.contiguous(memory_format=torch.channels_last_3d), self.weight
        )
        return output

    def _worthwhile(self, volumes: Tensor) -> bool:
        return (
            torch.is_grad_enabled()
            and volumes.device.type == "cpu"
            and volumes.dtype == self.weight.dtype == torch.float32
            and self.stride == (1, 1, 1)
            and not torch.compiler.is_compiling()
        )


class _FlippedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volumes: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(volumes, weight)
        return _convolve(volumes, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        volumes, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        to_volumes = to_weight = None
        if ctx.needs_input_grad[0]:
            to_volumes = _convolve(gradient, weight.flip(2, 3, 4))
        if ctx.needs_input_grad[1]:
            to_weight = depthwise_weight_gradient(volumes, gradient, weight.shape[-1])
        return to_volumes, to_weight


def _convolve(volumes: Tensor, weight: Tensor) -> Tensor:
    return F.conv3d(volumes, weight, padding=weight.shape[-1] // 2, groups=weight.shape[0])
