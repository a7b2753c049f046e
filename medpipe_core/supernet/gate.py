"""Multiplication by a straight-through gate that costs nothing in the forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gated(output: Tensor, gate: Tensor | None) -> Tensor:
    """Return `gate * output` for a gate whose value is exactly 1.0 (equation 4's forward value).

    Because the value is 1, the output is handed on as it is: bit for bit the ungated one. Only
    `output` itself is kept for the backward pass, in the storage that the next layer keeps anyway,
    so a gate adds no memory to what the plain path saves.

    Args:
        output: Any shape and floating dtype.
        gate: Scalar float32 tensor of value 1.0, or None for no gate.

    Returns:
        A view of `output`. Its gradient with respect to the gate is the sum, taken in float32, of
        `output` times the incoming gradient.
    """
    if gate is None or not gate.requires_grad:
        return output
    gated_output: Tensor = _Gate.apply(output, gate)  # type: ignore[no-untyped-call]
    return gated_output


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(output)
        ctx.gate_device = gate.device
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (output,) = ctx.saved_tensors
        to_gate = None
        if ctx.needs_input_grad[1]:
            # In the order in which the output lies in memory: flattening it copies nothing then.
            order = sorted(range(output.ndim), key=output.stride, reverse=True)
            one, other = (t.permute(order).flatten().float() for t in (gradient, output))
            to_gate = torch.linalg.vecdot(one, other).to(ctx.gate_device)
        return (gradient if ctx.needs_input_grad[0] else None), to_gate
