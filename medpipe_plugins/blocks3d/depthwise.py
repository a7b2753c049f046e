"""Depthwise 3D convolution that trains at a bearable speed on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv3d_input, conv3d_weight

from medpipe_plugins.blocks3d import depthwise_compiled as compiled
from medpipe_plugins.blocks3d.convolution import require_odd
from medpipe_plugins.numba_extra import has_numba
from medpipe_plugins.watching import watched


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise `nn.Conv3d` with odd cubic kernel, same padding and no bias.

    Weights, state and results are those of `nn.Conv3d(channels, channels, kernel,
    padding=kernel // 2, groups=channels, bias=False)`. On a CPU in float32 it differs in how it
    gets there: volumes come out in channels-last order, and the passes of training are compiled
    with the extra `fast`. Without it, and where that is quicker, the gradient with respect to the
    input is a convolution with the flipped kernel, which torch's own backward pass is several times
    slower at.

    It is the plain operator on other devices, in other types, under autocast, for kernels other
    than 3, 5 and 7, where somebody has given it a bias or the like, and where the computation is
    traced, exported or transformed (`watched`). Second derivatives are torch's.

    Args:
        channels: Number of channels, in and out.
        kernel: Odd edge length of the kernel, in voxels.
        stride: Step of the kernel, in voxels, for all three axes.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        require_odd(kernel)
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
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            output: Tensor = self._conv_forward(input, self.weight, self.bias)
        elif self._has_own_way(input):
            output = _Depthwise.apply(  # type: ignore[no-untyped-call]
                input, self.weight, self.stride[0]
            )
        else:
            output = super().forward(_channels_first(input) if max(self.stride) > 1 else input)
        return output

    def _has_own_way(self, volumes: Tensor) -> bool:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return (
            not watched(volumes, self.weight)
            and self._is_as_made(kernel, stride)
            and volumes.device.type == "cpu"
            and volumes.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and volumes.ndim == 5
            and volumes.shape[1] == self.in_channels
            and volumes.numel() > 0
            and kernel in compiled.KERNELS
            and stride in compiled.STRIDES
        )

    def _is_as_made(self, kernel: int, stride: int) -> bool:
        """Say whether nobody has made another convolution of it, such as one with a bias."""
        return (
            self.bias is None
            and self.kernel_size == (kernel,) * 3
            and self.stride == (stride,) * 3
            and self.padding == (kernel // 2,) * 3
            and self.dilation == (1, 1, 1)
            and self.groups == self.in_channels == self.out_channels
            and self.padding_mode == "zeros"
        )


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(volumes: Tensor, weight: Tensor, stride: int) -> Tensor:
        return _convolve(volumes, weight, stride)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:  # noqa: ARG004
        *tensors, ctx.stride = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        volumes, weight = ctx.saved_tensors
        to_volumes = to_weight = None
        if ctx.needs_input_grad[0]:
            to_volumes = _input_gradient(gradient, weight, ctx.stride, volumes)
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(gradient, weight, ctx.stride, volumes)
        return to_volumes, to_weight, None


def _convolve(volumes: Tensor, weight: Tensor, stride: int) -> Tensor:
    if has_numba() and compiled.is_quicker(volumes):
        return compiled.convolve(volumes, weight, stride)
    volumes = volumes.contiguous(memory_format=torch.channels_last_3d)
    return F.conv3d(volumes, weight, None, *_moves(weight, stride))


def _input_gradient(gradient: Tensor, weight: Tensor, stride: int, volumes: Tensor) -> Tensor:
    # Where gradients are recorded here, somebody differentiates once more.
    plain = watched(gradient)
    compiles = not plain and not torch.is_grad_enabled() and has_numba()
    if compiles and (stride > 1 or compiled.is_quicker(gradient)):
        return compiled.input_gradient(gradient, weight, stride, like=volumes)
    if stride == 1 and not plain:
        gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        return F.conv3d(gradient, weight.flip(2, 3, 4), None, *_moves(weight, stride))
    if stride > 1:
        gradient = _channels_first(gradient)
    found: Tensor = conv3d_input(  # type: ignore[no-untyped-call]
        volumes.shape, weight, gradient, *_moves(weight, stride)
    )
    return found


def _weight_gradient(gradient: Tensor, weight: Tensor, stride: int, volumes: Tensor) -> Tensor:
    if not torch.is_grad_enabled() and not watched(gradient) and has_numba():
        return compiled.weight_gradient(volumes, gradient, weight.shape[-1], stride)
    if stride > 1:
        volumes, gradient = _channels_first(volumes), _channels_first(gradient)
    found: Tensor = conv3d_weight(  # type: ignore[no-untyped-call]
        volumes, weight.shape, gradient, *_moves(weight, stride)
    )
    return found


def _channels_first(volumes: Tensor) -> Tensor:
    """Return the volumes in torch's own order on a CPU, for strides above 1.

    In channels-last order oneDNN's gradient with respect to a depthwise weight is wrong, or ends
    the process, where such a stride meets a large kernel on few slices: in torch 2.13 with a kernel
    of 7 at stride 2 on 5 to 7 slices, for one.
    """
    if isinstance(volumes, Tensor) and volumes.device.type == "cpu":
        return volumes.contiguous()
    return volumes


def _moves(weight: Tensor, stride: int) -> tuple[int, int, int, int]:
    """Return stride, padding, dilation and groups."""
    return stride, weight.shape[-1] // 2, 1, len(weight)
