"""Batch normalisation and ReLU6 in one pass over memory."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpipe_plugins.blocks3d import normalisation_compiled as compiled
from medpipe_plugins.numba_extra import has_numba

# Values below which calling the compiled loops takes longer than torch's two operators.
_WORTH_COMPILING = 30_000
_LIMITS = np.float32(0), np.float32(6)


class BatchNormReLU6(nn.BatchNorm3d):
    """`nn.BatchNorm3d` followed by `nn.ReLU6`, faster on a CPU and with less memory.

    Parameters, buffers and state are those of `nn.BatchNorm3d`, and so is everything that is done
    to one: freezing, averaging, estimating its statistics anew. Results are those of the two
    modules within float32 rounding.

    On a CPU, in float32 and channels-last order, the passes of training and of evaluation without
    gradients are compiled with the extra `fast`. Everywhere else it is torch's operators; while
    gradients are recorded, the activation then writes over the normalised values, which no other
    layer needs. Second derivatives are torch's.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise `(batch, channels, depth, height, width)` and clip to [0, 6]."""
        if not self._has_own_way(input):
            return relu6(super().forward(input))
        weight, bias = cast("tuple[Tensor, Tensor]", (self.weight, self.bias))
        if not self.training:
            mean, variance = cast("tuple[Tensor, Tensor]", (self.running_mean, self.running_var))
            found = compiled.Moments(_numbers(mean), _numbers(variance))
            return _clipped(input, _by(weight, bias, found, self.eps))
        found = compiled.moments(_rows(input))
        self._remember(found, input.numel() // len(weight))
        output: Tensor = _Normalised.apply(  # type: ignore[no-untyped-call]
            input, weight, bias, found, self.eps
        )
        return output

    def _has_own_way(self, volumes: Tensor) -> bool:
        return (
            not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
            and type(volumes) in (Tensor, nn.Parameter)  # not one that records or pretends
            and volumes.device.type == "cpu"
            and self.affine
            and self.running_mean is not None
            and volumes.dtype == self.weight.dtype == self.running_mean.dtype == torch.float32
            and volumes.ndim == 5
            and volumes.shape[1] == self.num_features
            and volumes.numel() >= _WORTH_COMPILING
            and volumes.numel() > self.num_features  # torch refuses a single value in training
            and volumes.is_contiguous(memory_format=torch.channels_last_3d)
            and (self.training or not torch.is_grad_enabled())
            and has_numba()  # last: it takes half a second where it is asked first
        )

    @torch.no_grad()
    def _remember(self, found: compiled.Moments, count: int) -> None:
        """Let the running statistics follow, as `nn.BatchNorm3d` does."""
        mean, variance, batches = cast(
            "tuple[Tensor, Tensor, Tensor]",
            (self.running_mean, self.running_var, self.num_batches_tracked),
        )
        batches.add_(1)
        share = 1 / batches.item() if self.momentum is None else self.momentum
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
    if torch.compiler.is_compiling() or not values.requires_grad or values.is_leaf:
        return F.relu6(values)
    output: Tensor = _Overwriting.apply(values)  # type: ignore[no-untyped-call]
    return output


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        volumes: Tensor, weight: Tensor, bias: Tensor, found: compiled.Moments, eps: float
    ) -> Tensor:
        return _clipped(volumes, _by(weight, bias, found, eps))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        *tensors, ctx.found, ctx.eps = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        volumes, weight, bias = tensors = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody differentiates once more
            again = F.batch_norm(volumes, None, None, weight, bias, training=True, eps=ctx.eps)
            asked = [tensor for tensor in tensors if tensor.requires_grad]
            found = iter(torch.autograd.grad(F.relu6(again), asked, gradient, create_graph=True))
            return *(next(found) if t.requires_grad else None for t in tensors), None, None
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
    def forward(values: Tensor) -> Tensor:
        return values.clamp_(0, 6)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.mark_dirty(*inputs)
        ctx.save_for_backward(output)

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
