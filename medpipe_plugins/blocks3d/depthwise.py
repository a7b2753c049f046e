"""Depthwise 3D convolution that trains at a bearable speed on a CPU, and fast on a GPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv3d_input, conv3d_weight

from medpipe_plugins.blocks3d import depthwise_compiled as compiled
from medpipe_plugins.blocks3d import depthwise_gpu as gpu
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
    slower at. On a GPU, in float32, bfloat16 and float16 and under autocast, the passes are kernels
    written in Triton, channels last as well, whose sums are float32; without Triton they are
    torch's, channels first, as they are for few values, which take no time but to be handed over.

    It is the plain operator on other devices, in other types, under autocast on a CPU, for kernels
    other than 3, 5 and 7, where somebody has given it a bias or the like, and where the computation
    is traced, exported or transformed (`watched`). Second derivatives are torch's.

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
        else:
            own = self._own_type(input)
            if own is None:
                output = super().forward(_as_plain_likes(input, self.stride))
            else:
                output = _Depthwise.apply(  # type: ignore[no-untyped-call]
                    input.to(own), self.weight, self.stride[0]
                )
        return output

    def _own_type(self, volumes: Tensor) -> torch.dtype | None:
        """Return the type in which it has its own way to the result, if it has one."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if (
            watched(volumes, self.weight)
            or (_on_gpu(volumes) and not gpu.is_worth_it(volumes, kernel))
            or not self._is_as_made(kernel, stride)
            or volumes.ndim != 5
            or volumes.shape[1] != self.in_channels
            or volumes.numel() == 0
            or kernel not in compiled.KERNELS
            or stride not in compiled.STRIDES
        ):
            return None
        if _on_gpu(volumes):
            return gpu.type_of(volumes, self.weight)
        has = (
            volumes.device.type == "cpu"
            and volumes.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
        )
        return torch.float32 if has else None

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
    # With a `setup_context` torch would look at the signature at each call: as long as a launch.
    @staticmethod
    def forward(ctx: Any, volumes: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.stride = stride
        if _on_gpu(volumes):
            numbers = gpu.laid_out(volumes, weight, stride)
            ctx.save_for_backward(volumes, weight, numbers)
            return gpu.convolve(volumes, weight, stride, numbers)
        ctx.save_for_backward(volumes, weight)
        return _convolve(volumes, weight, stride)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        if _on_gpu(gradient):
            needed = ctx.needs_input_grad[:2]
            return *gpu.gradients(gradient, ctx.saved_tensors, ctx.stride, needed), None
        volumes, weight = ctx.saved_tensors
        to_volumes = to_weight = None
        if ctx.needs_input_grad[0]:
            to_volumes = _input_gradient(gradient, weight, ctx.stride, volumes)
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(gradient, weight, ctx.stride, volumes)
        return to_volumes, to_weight, None


def _on_gpu(volumes: Tensor) -> bool:
    return volumes.device.type == "cuda"


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


def _as_plain_likes(volumes: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Return the volumes in the memory order that torch's own operator takes well."""
    if isinstance(volumes, Tensor) and _on_gpu(volumes):
        return volumes if watched(volumes) else volumes.contiguous()
    return _channels_first(volumes) if max(stride) > 1 else volumes


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
