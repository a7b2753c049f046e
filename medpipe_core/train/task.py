"""The task: what a network's outputs mean, what it is punished for and how it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from medpipe_core.train.figures import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class ClassificationTask:
    """One label for each volume.

    Attributes:
        classes: Names of the classes.
        label_smoothing: Share of each label that is spread over all classes.
    """

    classes: tuple[str, ...]
    label_smoothing: float = 0.0

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of `(batch, classes)` logits."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return class probabilities, `(batch, classes)`, in float64."""
        return logits.double().softmax(1)

    def figures(
        self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> dict[str, float]:
        """Return the figures of merit; see `metrics`."""
        return metrics(probabilities, labels)

    def score(self, figures: dict[str, float]) -> float:
        """Return the one figure that ranks networks: accuracy, of equal ones the larger AUC.

        Validation accuracy ranks in the paper (section IV-C). AUC, which moves between the steps
        that accuracy can take, weighs less than one such step of a thousand volumes.
        """
        area = figures["auc"]
        return figures["accuracy"] + (1e-3 * area if area == area else 0.0)
