"""Several networks that answer as one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor


class Ensemble(nn.Module):
    """Networks trained alike from other first weights, whose probabilities are averaged.

    It gives logits, the logarithms of the averaged probabilities, for what each network takes: a
    deep ensemble (Lakshminarayanan et al. 2017, section 2.4).

    Args:
        members: The networks, one at least.

    Raises:
        ValueError: There is none.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("an ensemble of no networks cannot answer; give one at least")

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the logits, `(batch, classes)`."""
        return mean_probability([member(volumes) for member in self.members])


def mean_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of probabilities, all as logits `(batch, classes)`."""
    told = torch.stack([one.log_softmax(1) for one in logits])
    return told.logsumexp(0) - math.log(len(logits))
