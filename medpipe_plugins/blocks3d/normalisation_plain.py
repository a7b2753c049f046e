"""The gradients of batch normalisation by torch's own operators, for whoever looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator


def gradients_by_torch(
    tensors: tuple[Tensor, ...], gradient: Tensor, eps: float, *, clips: bool = True
) -> Iterator[Tensor | None]:
    """Yield the gradients as torch has them, with their own graph where somebody records it.

    Args:
        tensors: Volumes, weight and bias; None is yielded for those that need no gradient.
        gradient: Gradient with respect to the result.
        eps: Added to the variance.
        clips: Whether the normalised values were clipped to [0, 6].
    """
    recorded = torch.is_grad_enabled()
    asked = [tensor.requires_grad for tensor in tensors]
    with torch.enable_grad():
        if not recorded:
            tensors = tuple(t.detach().requires_grad_(t.requires_grad) for t in tensors)
        volumes, weight, bias = tensors
        again = F.batch_norm(volumes, None, None, weight, bias, training=True, eps=eps)
        again = F.relu6(again) if clips else again
        inputs = [tensor for tensor, wanted in zip(tensors, asked, strict=True) if wanted]
        found = torch.autograd.grad(again, inputs, gradient, create_graph=recorded)
    rest = iter(found)
    return (next(rest) if wanted else None for wanted in asked)
