"""Finding what made a loss that is not finite, after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


def not_finite_from(given: Tensor, augmented: Tensor, augment: Any, drawn: Tensor) -> str:
    """Say which input made a loss that is not finite, or nothing if it came of the network.

    Args:
        given: The batch before its augmentation.
        augmented: The batch after it.
        augment: What augmented it, or None.
        drawn: State of the generator before that.
    """
    if not given.isfinite().all():
        return "the batch itself has values that are not finite"
    if augmented.isfinite().all():
        return ""
    ask = getattr(augment, "not_finite_from", None)
    found = "" if ask is None else str(ask(given, drawn))
    return found or "the augmentation made values that are not finite"


@torch.no_grad()
def layer_not_finite(network: nn.Module, volumes: Tensor) -> str:
    """Return the first layer of a plain sequence that gives values that are not finite, or nothing.

    Args:
        network: The network, in the mode that it failed in.
        volumes: What it was given; finite.
    """
    if not isinstance(network, nn.Sequential):
        return ""
    features = volumes
    for name, layer in network.named_children():
        features = layer(features)
        if not features.isfinite().all():
            kind = type(layer)
            return f"{name} ({kind.__module__}.{kind.__qualname__})"
    return ""
