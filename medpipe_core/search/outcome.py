"""What came of a step of a search, or of scoring a genotype."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.space import Genotype


@dataclass(frozen=True)
class Outcome:
    """What came of a decision, or of scoring a genotype.

    Attributes:
        genotype: What was run or scored.
        step: The step of the search, from 0.
        train_loss: Loss of the training batch.
        validation_loss: Loss of the validation batch, if it was asked for.
        gate_gradients: Choice path → derivative of the validation loss with respect to the
            choice's gate, if they were asked for.
        validated: The choices that the validation loss depends on directly: those of the network
            and, unless validation is clean, those of the augmentations.
        agreement: Cosine between the gradient of the training loss, on augmented volumes, and that
            of the validation loss, on clean ones, with respect to the path's weights, both before
            the step; in [−1, 1]; if it was asked for.
        improvement: By how much the step on the weights lowered the loss of the clean validation
            batch, if it was asked for.
        score: Figure of merit of the genotype as exported, larger is better; only at the end of
            an epoch, for what `propose` named.
        rung: How far up a race the score is of, from 0: one of a higher rung comes of a longer or
            larger training, and was reached by those that were better below.
        dropped: Whether others of its race went on from there and it did not.
        measured: What else was asked for, by names that whoever asked has given.
    """

    genotype: Genotype
    step: int
    train_loss: float | None = None
    validation_loss: float | None = None
    gate_gradients: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    validated: frozenset[str] = frozenset()
    agreement: float | None = None
    improvement: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    rung: int = 0
    dropped: bool = False

    @property
    def finite(self) -> bool:
        """Whether all that was asked for is finite."""
        numbers = (self.validation_loss, self.agreement, self.improvement)
        known = (number for number in numbers if number is not None)
        return all(
            map(math.isfinite, (*known, *self.gate_gradients.values(), *self.measured.values()))
        )
