"""Batch normalisation on a GPU, with or without ReLU6, in few passes over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from medpipe_plugins.blocks3d import normalisation_triton as kernels
from medpipe_plugins.blocks3d.normalisation_plain import gradients_by_torch
from medpipe_plugins.triton_extra import has_triton
from medpipe_plugins.watching import watched

if TYPE_CHECKING:
    from collections.abc import Iterator


# Values below which torch's operators are given out sooner than the kernels, of which there are
# three for each pass. Where they are recorded once and given out by the GPU itself that is nothing.
_WORTH_LAUNCHING = 2**21


def takes(norm: nn.BatchNorm3d, volumes: Tensor) -> bool:
    """Say whether the kernels do what this layer does with these volumes."""
    # First what costs least: this is asked of each layer of each step.
    if type(volumes) is not Tensor or not on_gpu(volumes):
        return False  # what stands in for a tensor while a network is traced decides nothing
    if volumes.numel() < _WORTH_LAUNCHING and not recorded(volumes):
        return False
    if watched(volumes, norm.weight, norm.bias):
        return False
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return (
        not any(one is None or one.dtype != torch.float32 for one in tensors)
        and kernels.takes(volumes)
        and volumes.shape[1] == norm.num_features
        and volumes.numel() > norm.num_features  # torch refuses a single value in training
        and (norm.training or not torch.is_grad_enabled())
        and has_triton()  # last: it takes a second where it is asked first
    )


def normalise(norm: nn.BatchNorm3d, volumes: Tensor, *, clips: bool) -> Tensor:
    """Do as the layer does, then clip to [0, 6] if asked to; running statistics follow.

    Args:
        norm: A layer that `takes` these volumes.
        volumes: `(batch, channel, depth, height, width)`, channels last.
        clips: Whether ReLU6 follows.
    """
    weight, bias = cast("tuple[Tensor, Tensor]", (norm.weight, norm.bias))
    mean, variance = cast("tuple[Tensor, Tensor]", (norm.running_mean, norm.running_var))
    if not norm.training:
        by = kernels.Affine(weight.detach(), bias.detach(), mean, variance, norm.eps, clips)
        return kernels.normalise(volumes, by)
    running = None
    if norm.track_running_stats:  # a search switches it off for its validation batches
        batches = cast("Tensor", norm.num_batches_tracked)
        running = kernels.Running(mean, variance, batches, norm.momentum)
        torch.autograd.graph.increment_version((mean, variance, batches))
    found = kernels.moments(volumes, running)
    output: Tensor = _Normalised.apply(  # type: ignore[no-untyped-call]
        volumes, weight, bias, *found, norm.eps, clips
    )
    return output


def on_gpu(volumes: Tensor) -> bool:
    """Say whether the volumes are where kernels run."""
    return volumes.device.type == "cuda"


def recorded(volumes: Tensor) -> bool:
    """Say whether work on the GPU is recorded as a CUDA graph, or tried before it is.

    Both are done in a stream of their own, which asking for a recording alone does not tell.
    """
    return torch.cuda.current_stream(volumes.device).cuda_stream != 0


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, volumes: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor,
        eps: float, clips: bool,
    ) -> Tensor:  # fmt: skip
        ctx.eps, ctx.clips = eps, clips
        ctx.save_for_backward(volumes, weight, bias, mean, variance)
        by = kernels.Affine(weight.detach(), bias.detach(), mean, variance, eps, clips)
        return kernels.normalise(volumes, by)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        volumes, weight, bias, mean, variance = ctx.saved_tensors
        found: Iterator[Tensor | None]
        if torch.is_grad_enabled() or watched(gradient):
            found = gradients_by_torch((volumes, weight, bias), gradient, ctx.eps, clips=ctx.clips)
        else:
            by = kernels.Affine(
                weight.detach(), bias.detach(), mean, variance, ctx.eps, ctx.clips
            )  # fmt: skip
            found = iter(kernels.gradients(volumes, gradient, by))
        return *found, None, None, None, None
