"""The three passes of a depthwise 3D convolution on a GPU: Triton's, or torch's own.

cuDNN convolves depthwise volumes that lie channels last channel by channel, or as one group after
another: torch's operators get them channels first, which is up to ten times faster. As on a CPU,
the gradient with respect to the input is then a convolution with the flipped kernel at stride 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv3d_input, conv3d_weight

from medpipe_plugins.blocks3d import depthwise_triton as kernels
from medpipe_plugins.blocks3d.triton_layout import TYPES
from medpipe_plugins.triton_extra import has_triton
from medpipe_plugins.watching import watched

# Values that come in, times the kernel's numbers, below which the plain operator is given out
# sooner than ours, whose backward pass is in Python; so nothing is compiled for a tiny network.
_WORTH_LAUNCHING = 2**25


def is_worth_it(volumes: Tensor, kernel: int) -> bool:
    """Say whether a convolution takes long enough for more than the plain operator."""
    return volumes.numel() * kernel**3 >= _WORTH_LAUNCHING


def type_of(volumes: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type that a convolution computes in, under autocast or not.

    None where it is not one of float32, bfloat16 and float16, or the two do not agree.
    """
    kind = volumes.device.type
    own: torch.dtype | None = volumes.dtype if volumes.dtype == weight.dtype else None
    if torch.is_autocast_enabled(kind) and volumes.dtype != torch.float64:
        own = torch.get_autocast_dtype(kind)
    return own if own in TYPES else None


def laid_out(volumes: Tensor, weight: Tensor, stride: int) -> Tensor | None:
    """Return the weight as the kernels take it; None where torch's operators convolve.

    What is decided for a layer's input holds for all three passes.

    Args:
        volumes: `(batch, channels, depth, height, width)`, in the type to compute in.
        weight: `(channels, 1, kernel, kernel, kernel)`, in any type.
        stride: Step of the kernel.
    """
    kernel = weight.shape[-1]
    if kernels.takes(volumes, kernel, stride) and has_triton():
        return kernels.laid_out(weight, volumes.dtype)
    return None


def convolve(volumes: Tensor, weight: Tensor, stride: int, numbers: Tensor | None) -> Tensor:
    """Return the convolution, padded by half the kernel's edge, in the volumes' type.

    Args:
        volumes: `(batch, channels, depth, height, width)`.
        weight: `(channels, 1, kernel, kernel, kernel)`, in any type.
        stride: Step of the kernel.
        numbers: The weight `laid_out`, if it is.
    """
    if numbers is not None:
        return kernels.convolve(volumes, numbers, weight.shape[-1], stride)
    weight = weight.to(volumes.dtype)
    return F.conv3d(volumes.contiguous(), weight, None, *_moves(weight, stride))


def gradients(
    gradient: Tensor, saved: tuple[Tensor, Tensor, Tensor | None], stride: int,
    needed: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Return the gradients with respect to volumes and weight, in their types.

    Args:
        gradient: With respect to the output.
        saved: Volumes, weight and numbers that `convolve` was given.
        stride: Step of the kernel.
        needed: Which of the two are wanted; the others are None.
    """
    volumes, weight, numbers = saved
    to_volumes = to_weight = None
    plain = watched(gradient)
    # Where gradients are recorded here, somebody differentiates once more.
    if numbers is not None and not plain and not torch.is_grad_enabled():
        kernel = weight.shape[-1]
        if needed[0]:
            to_volumes = kernels.input_gradient(gradient, numbers, kernel, stride, volumes.shape)
        if needed[1]:
            to_weight = kernels.weight_gradient(volumes, gradient, kernel, stride)
            to_weight = to_weight.to(weight.dtype)
        return to_volumes, to_weight
    gradient = gradient.contiguous()
    if needed[0]:
        to_volumes = _input_gradient(gradient, weight, stride, volumes, flips=not plain)
    if needed[1]:
        to_weight = conv3d_weight(  # type: ignore[no-untyped-call]
            volumes.contiguous(), weight.shape, gradient, *_moves(weight, stride)
        ).to(weight.dtype)
    return to_volumes, to_weight


def _input_gradient(
    gradient: Tensor, weight: Tensor, stride: int, volumes: Tensor, *, flips: bool
) -> Tensor:
    weight = weight.to(gradient.dtype)
    if stride == 1 and flips:
        return F.conv3d(gradient, weight.flip(2, 3, 4), None, *_moves(weight, 1))
    found: Tensor = conv3d_input(  # type: ignore[no-untyped-call]
        volumes.shape, weight, gradient, *_moves(weight, stride)
    )
    return found


def _moves(weight: Tensor, stride: int) -> tuple[int, int, int, int]:
    """Return stride, padding, dilation and groups."""
    return stride, weight.shape[-1] // 2, 1, len(weight)
