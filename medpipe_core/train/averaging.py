"""The running average of a network's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


class Averaging:
    """Lets a network follow another as a running average.

    Weights and buffers of floating-point numbers are averaged, others copied, all of a kind in one
    call: on a GPU one call for each would take longer than a step.

    Args:
        averaged: The network that follows; both keep their tensors.
        network: The network that is trained.
        decay: Share of the average that remains in a step, in [0, 1).
    """

    def __init__(self, averaged: nn.Module, network: nn.Module, decay: float) -> None:
        self._decay = decay
        pairs = [
            *zip(averaged.parameters(), network.parameters(), strict=True),
            *zip(averaged.buffers(), network.buffers(), strict=True),
        ]
        means = [(kept, given) for kept, given in pairs if kept.is_floating_point()]
        counts = [(kept, given) for kept, given in pairs if not kept.is_floating_point()]
        self._means = [kept for kept, _ in means], [given for _, given in means]
        self._counts = [kept for kept, _ in counts], [given for _, given in counts]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Follow the network's weights after a step, of which there have been `step`."""
        # A young average forgets faster, or it would remember the first weights for long.
        decay = min(self._decay, (1 + step) / (10 + step))
        kept, given = self._means
        if kept:
            torch._foreach_lerp_(kept, given, 1 - decay)
        kept, given = self._counts
        if kept:
            torch._foreach_copy_(kept, given)
