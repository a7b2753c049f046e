"""The task: what a network's outputs mean, what it is punished for and how it is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch.nn.functional as F

from medpipe_core.train.figures import log_loss, metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from medpipe_core.train.settings import FitSettings, RankBy


class Task(Protocol):
    """All that training and scoring know of a task."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the figures that are worth a line after each epoch."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what training makes small, a scalar."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return class probabilities in float64; logits are on the CPU."""

    def figures(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> dict[str, float]:
        """Return the figures of merit, NaN where one cannot be told."""

    def score(self, figures: dict[str, float]) -> float:
        """Return the one figure that ranks networks, larger is better."""

    def validation_loss(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> float:
        """Return the plain loss of predictions, which breaks ties of `score`."""


@dataclass(frozen=True)
class ClassificationTask:
    """One label for each volume.

    Attributes:
        classes: Names of the classes.
        label_smoothing: Share of each label that is spread over all classes.
        class_weights: Weight of each class's volumes in the loss; None for equal ones.
        rank_by: The figure that ranks networks.
    """

    classes: tuple[str, ...]
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    rank_by: RankBy = "accuracy"
    shown: ClassVar[tuple[str, ...]] = ("accuracy", "auc")

    @classmethod
    def for_training(
        cls, classes: tuple[str, ...], settings: FitSettings, labels: NDArray[np.int64]
    ) -> ClassificationTask:
        """Return the task as the settings want it trained on these labels."""
        balanced = settings.class_weights == "balanced"
        weights = balanced_weights(labels, len(classes)) if balanced else None
        return cls(classes, settings.label_smoothing, weights, settings.rank_by)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of `(batch, classes)` logits, weighted by class."""
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        return F.cross_entropy(logits, labels, weights, label_smoothing=self.label_smoothing)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return class probabilities, `(batch, classes)`, in float64."""
        return logits.double().softmax(1)

    def figures(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> dict[str, float]:
        """Return the figures of merit; see `metrics`."""
        return metrics(probabilities, labels)

    def score(self, figures: dict[str, float]) -> float:
        """Return the one number that ranks networks: the figure `rank_by`, then another one.

        Validation accuracy ranks in the paper (section IV-C). Where one class is rare, networks
        that have trained for a short time all score the majority's accuracy; the AUC tells them
        apart. Ties are broken by AUC, or by accuracy where the AUC ranks, which weighs less than
        one volume of a thousand.
        """
        second = figures["accuracy" if self.rank_by == "auc" else "auc"]
        return figures[self.rank_by] + (1e-3 * second if math.isfinite(second) else 0.0)

    def validation_loss(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> float:
        """Return the mean cross-entropy, neither smoothed nor weighted."""
        return log_loss(probabilities, labels)


def balanced_weights(labels: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """Return a weight for each class that makes all classes count the same in the loss.

    A class's weight is count / (classes present · count of the class), so that the weights of all
    volumes have mean 1; a class without volumes gets 0.
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    weights = len(labels) / (present * np.maximum(counts, 1)) * (counts > 0)
    return tuple(weights.tolist())
