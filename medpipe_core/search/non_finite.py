"""Finding the augmentation that made values that are not finite, after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Supernet


@torch.no_grad()
def not_finite_from(supernet: Supernet, genotype: Genotype, volumes: Tensor, drawn: Tensor) -> str:
    """Say where the first value that is not finite came from, or nothing if it was the network.

    Args:
        supernet: Who ran the step.
        genotype: The path that ran.
        volumes: The batch before its augmentation.
        drawn: State of the augmentations' generator before the step; all is drawn again from it.
    """
    if not volumes.isfinite().all():
        return "the batch itself has values that are not finite"
    generator = torch.Generator()
    generator.set_state(drawn)
    policy = supernet.policy(genotype)
    for layer, augmented in policy.outputs(volumes, generator):
        if not augmented.isfinite().all():
            return f"{layer.origin} ({layer.path}) made values that are not finite"
    return ""
