"""Batch normalisation and ReLU6 in one pass over memory."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpipe_plugins.blocks3d import normalisation_compiled as compiled
from medpipe_plugins.blocks3d import normalisation_gpu as gpu
from medpipe_plugins.blocks3d.normalisation_plain import gradients_by_torch
from medpipe_plugins.numba_extra import has_numba
from medpipe_plugins.watching import recorded, watched

# Values below which calling the compiled loops takes longer than torch's two operators.
_WORTH_COMPILING = 30_000
_LIMITS = np.float32(0), np.float32(6)


class BatchNormReLU6(nn.Sequential):
    """`nn.BatchNorm3d` followed by `nn.ReLU6`, faster and with less memory.

    It is the sequence of the two modules, so that whatever finds batch normalisation in a network
    finds the one in here: to freeze it, to estimate its statistics anew, or to replace it, as
    `nn.SyncBatchNorm.convert_sync_batchnorm` does. Results are those of the two modules within
    float32 rounding.

    On a CPU, in float32 and channels-last order, the passes of training and of evaluation without
    gradients are compiled with the extra `fast`. On a GPU, in channels-last order, they are kernels
    written in Triton, with float32 statistics of volumes in float32, bfloat16 and float16.
    Everywhere else it is torch's operators; while
    gradients are recorded, the activation then writes over the normalised values, which no other
    layer needs. Second derivatives are torch's. Where the computation is traced, exported or
    transformed (`watched`), and where one of the two has been replaced or is hooked, they run one
    after the other.

    Args:
        channels: Channels that come in.
        settings: Of `nn.BatchNorm3d`.
    """

    def __init__(self, channels: int, **settings: Any) -> None:
        super().__init__(nn.BatchNorm3d(channels, **settings), nn.ReLU6())

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise `(batch, channels, depth, height, width)` and clip to [0, 6]."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            output = input
            for module in self:
                output = module(output)
        elif self._is_plain(input):
            output = self._one_pass(input)
        else:
            output = super().forward(input)  # type: ignore[no-untyped-call]
        return output

    def _is_plain(self, volumes: Tensor) -> bool:
        """Say whether these are torch's two modules as they were made, and nobody looks on."""
        norm, activation = self
        return (
            type(norm) is nn.BatchNorm3d
            and type(activation) is nn.ReLU6
            and not hooked(norm, activation)
            and not recorded(volumes)
        )

    def _one_pass(self, volumes: Tensor) -> Tensor:
        norm = cast("nn.BatchNorm3d", self[0])
        if gpu.takes(norm, volumes):
            return gpu.normalise(norm, volumes, clips=True)
        if not _compiles(norm, volumes):
            return relu6(norm(volumes))
        weight, bias = cast("tuple[Tensor, Tensor]", (norm.weight, norm.bias))
        if not norm.training:
            mean, variance = cast("tuple[Tensor, Tensor]", (norm.running_mean, norm.running_var))
            found = compiled.Moments(_numbers(mean), _numbers(variance))
            return _clipped(volumes, _by(weight, bias, found, norm.eps))
        found = compiled.moments(_rows(volumes))
        if norm.track_running_stats:  # a search switches it off for its validation batches
            _remember(norm, found, volumes.numel() // len(weight))
        output: Tensor = _Normalised.apply(  # type: ignore[no-untyped-call]
            volumes, weight, bias, found, norm.eps
        )
        return output


def batch_norm(norm: nn.Module, volumes: Tensor) -> Tensor:
    """Apply the layer, on a GPU by kernels where it is `nn.BatchNorm3d` and nobody looks on."""
    if type(norm) is nn.BatchNorm3d and not hooked(norm) and gpu.takes(norm, volumes):
        return gpu.normalise(norm, volumes, clips=False)
    output: Tensor = norm(volumes)
    return output


def hooked(*modules: nn.Module) -> bool:
    """Say whether somebody has hung hooks on one of the modules."""
    return any(
        hooks
        for one in modules
        for hooks in (one._forward_hooks, one._forward_pre_hooks, one._backward_hooks)
    )


class InstanceNormReLU6(nn.Sequential):
    """`nn.InstanceNorm3d` with weights, followed by `nn.ReLU6`.

    A single voxel has no deviation, and torch refuses it; it is scaled and shifted only.

    Args:
        channels: Channels that come in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(nn.InstanceNorm3d(channels, affine=True), nn.ReLU6())

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise `(batch, channels, depth, height, width)` and clip to [0, 6]."""
        if input.shape[2:].numel() > 1:
            output: Tensor = super().forward(input)  # type: ignore[no-untyped-call]
            return output
        norm = cast("nn.InstanceNorm3d", self[0])
        return F.relu6(input * norm.weight.view(-1, 1, 1, 1) + norm.bias.view(-1, 1, 1, 1))


def _compiles(norm: nn.BatchNorm3d, volumes: Tensor) -> bool:
    """Say whether the compiled loops take these volumes."""
    return (
        volumes.device.type == "cpu"
        and norm.affine
        and norm.running_mean is not None
        and volumes.dtype == norm.weight.dtype == norm.running_mean.dtype == torch.float32
        and not watched(norm.weight, norm.bias)
        and volumes.ndim == 5
        and volumes.shape[1] == norm.num_features
        and volumes.numel() >= _WORTH_COMPILING
        and volumes.numel() > norm.num_features  # torch refuses a single value in training
        and volumes.is_contiguous(memory_format=torch.channels_last_3d)
        and (norm.training or not torch.is_grad_enabled())
        and has_numba()  # last: it takes half a second where it is asked first
    )


@torch.no_grad()
def _remember(norm: nn.BatchNorm3d, found: compiled.Moments, count: int) -> None:
    """Let the running statistics follow, as `nn.BatchNorm3d` does."""
    mean, variance, batches = cast(
        "tuple[Tensor, Tensor, Tensor]",
        (norm.running_mean, norm.running_var, norm.num_batches_tracked),
    )
    batches.add_(1)
    share = 1 / batches.item() if norm.momentum is None else norm.momentum
    unbiased = found.variance * (count / (count - 1))
    mean.lerp_(torch.from_numpy(found.mean).to(mean), share)
    variance.lerp_(torch.from_numpy(unbiased).to(variance), share)


def relu6(values: Tensor) -> Tensor:
    """Clip to [0, 6]; while gradients are recorded, write the result over the input.

    Values and gradients are those of `F.relu6`, bit for bit. That keeps its input for the backward
    pass, and its form in place a copy of it; here the result is kept, which the convolution that
    follows keeps anyway. The layer before must not need its own result for the backward pass:
    batch normalisation does not.
    """
    if recorded(values) or not values.requires_grad or values.is_leaf:
        return F.relu6(values)
    output: Tensor = _Overwriting.apply(values)  # type: ignore[no-untyped-call]
    return output


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, volumes: Tensor, weight: Tensor, bias: Tensor, found: compiled.Moments, eps: float
    ) -> Tensor:
        ctx.found, ctx.eps = found, eps
        ctx.save_for_backward(volumes, weight, bias)
        return _clipped(volumes, _by(weight, bias, found, eps))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        volumes, weight, bias = tensors = ctx.saved_tensors
        if torch.is_grad_enabled() or watched(gradient):
            return *gradients_by_torch(tensors, gradient, ctx.eps), None, None
        out = torch.empty_like(volumes)
        gradients = compiled.gradients(
            _rows(volumes), _rows(gradient.contiguous(memory_format=torch.channels_last_3d)),
            _by(weight, bias, ctx.found, ctx.eps), ctx.found, np.sqrt(ctx.found.variance + ctx.eps),
            _rows(out),
        )  # fmt: skip
        to_weight, to_bias = (
            torch.from_numpy(one).to(weight) for one in (gradients.weight, gradients.bias)
        )
        return out, to_weight, to_bias, None, None


class _Overwriting(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.mark_dirty(values)
        output = values.clamp_(0, 6)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.hardtanh_backward(gradient, output, 0, 6)
        return found


def _by(weight: Tensor, bias: Tensor, found: compiled.Moments, eps: float) -> compiled.Clipped:
    scale = _numbers(weight) / np.sqrt(found.variance + eps)
    shift = _numbers(bias) - found.mean * scale
    return compiled.Clipped(scale.astype(np.float32), shift.astype(np.float32), *_LIMITS)


def _clipped(volumes: Tensor, by: compiled.Clipped) -> Tensor:
    out = torch.empty_like(volumes)
    compiled.clip(_rows(volumes), by, _rows(out))
    return out


def _rows(volumes: Tensor) -> Any:
    """Return the values as `(voxels of the batch, channels)`, in the same memory."""
    return volumes.detach().permute(0, 2, 3, 4, 1).view(-1, volumes.shape[1]).numpy()


def _numbers(per_channel: Tensor) -> Any:
    return per_channel.detach().numpy().astype(np.float64)
