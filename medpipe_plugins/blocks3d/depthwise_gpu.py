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
from medpipe_plugins.blocks3d.triton_launch import TYPES
from medpipe_plugins.triton_extra import has_triton
from medpipe_plugins.watching import watched


def type_of(volumes: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type that a convolution computes in, under autocast or not.

    None where it is not one of float32, bfloat16 and float16, or the two do not agree.
    """
    kind = volumes.device.type
    own: torch.dtype | None = volumes.dtype if volumes.dtype == weight.dtype else None
    if torch.is_autocast_enabled(kind) and volumes.dtype != torch.float64:
        own = torch.get_autocast_dtype(kind)
    return own if own in TYPES else None


def convolve(volumes: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return the convolution, padded by half the kernel's edge, in the volumes' type.

    Args:
        volumes: `(batch, channels, depth, height, width)`.
        weight: `(channels, 1, kernel, kernel, kernel)`, in any type.
        stride: Step of the kernel.
    """
    if _has_kernel(volumes, weight, stride):
        return kernels.convolve(volumes, weight, stride)
    weight = weight.to(volumes.dtype)
    return F.conv3d(volumes.contiguous(), weight, None, *_moves(weight, stride))


def input_gradient(gradient: Tensor, weight: Tensor, stride: int, like: Tensor) -> Tensor:
    """Return the gradient with respect to the input, whose shape `like` has."""
    plain = watched(gradient)
    if not plain and not torch.is_grad_enabled() and _has_kernel(gradient, weight, stride):
        return kernels.input_gradient(gradient, weight, stride, like)
    weight = weight.to(gradient.dtype)
    if stride == 1 and not plain:
        return F.conv3d(gradient.contiguous(), weight.flip(2, 3, 4), None, *_moves(weight, 1))
    found: Tensor = conv3d_input(  # type: ignore[no-untyped-call]
        like.shape, weight, gradient.contiguous(), *_moves(weight, stride)
    )
    return found


def weight_gradient(gradient: Tensor, weight: Tensor, stride: int, volumes: Tensor) -> Tensor:
    """Return the gradient with respect to the weight, in its type."""
    plain = torch.is_grad_enabled() or watched(gradient)
    if not plain and _has_kernel(gradient, weight, stride) and _has_kernel(volumes, weight, stride):
        found = kernels.weight_gradient(volumes, gradient, weight.shape[-1], stride)
    else:
        found = conv3d_weight(  # type: ignore[no-untyped-call]
            volumes.contiguous(), weight.shape, gradient.contiguous(), *_moves(weight, stride)
        )
    return found.to(weight.dtype)


def _has_kernel(volumes: Tensor, weight: Tensor, stride: int) -> bool:
    return kernels.takes(volumes, weight.shape[-1], stride) and has_triton()


def _moves(weight: Tensor, stride: int) -> tuple[int, int, int, int]:
    """Return stride, padding, dilation and groups."""
    return stride, weight.shape[-1] // 2, 1, len(weight)
