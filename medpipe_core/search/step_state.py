"""What one step of a search works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from medpipe_core.computing import Computing
    from medpipe_core.search.batch_source import BatchSource
    from medpipe_core.seeding import TorchStream
    from medpipe_core.supernet import Supernet


@dataclass(kw_only=True)
class StepState:
    """Shared weights, where batches come from, and how steps are computed.

    Attributes:
        supernet: The shared weights.
        optimiser: Adam on the weights.
        training: Batches that train the weights.
        validation: Batches that inform the searcher.
        generator: Source of the augmentations' draws.
        stream: Source of what the networks' own layers draw, such as dropout.
        computing: How steps are computed.
        scaler: Scales losses in float16.
        step: Steps done.
    """

    supernet: Supernet
    optimiser: torch.optim.Optimizer
    training: BatchSource
    validation: BatchSource
    generator: torch.Generator
    stream: TorchStream
    computing: Computing
    scaler: torch.amp.GradScaler
    step: int = 0
