"""The default head of a classification network."""

from __future__ import annotations

from torch import Tensor, nn


class PooledLinear(nn.Module):
    """Global average pooling and one fully-connected layer (paper, section III-A).

    Maps `(batch, in_channels, *space)` to logits `(batch, num_classes)`, for any number of spatial
    axes.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Pool over all spatial axes, then classify."""
        logits: Tensor = self.linear(features.flatten(2).mean(-1))
        return logits
