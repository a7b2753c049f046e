"""Finding the augmentation that made values that are not finite, after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Supernet


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
    return supernet.policy(genotype).not_finite_from(volumes, drawn)
