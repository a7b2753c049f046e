"""ReLU6 that needs no memory of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class OverwritingReLU6(nn.ReLU6):
    """`nn.ReLU6` that writes its result over its input while gradients are recorded.

    Values and gradients are those of `nn.ReLU6`, bit for bit. That keeps its input for the backward
    pass, and `nn.ReLU6(inplace=True)` a copy of it; here the result is kept, which the convolution
    that follows keeps anyway. The layer before must not need its own result for the backward pass:
    batch normalisation does not.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Clip to [0, 6]."""
        if torch.compiler.is_compiling() or not input.requires_grad or input.is_leaf:
            return super().forward(input)
        output: Tensor = _Overwriting.apply(input)  # type: ignore[no-untyped-call]
        return output


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
