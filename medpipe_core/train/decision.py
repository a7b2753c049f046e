"""From probabilities to answers: a temperature and a threshold, fitted on held-out volumes.

A network that has trained to a small loss is too sure of itself, and where one class is rare the
most probable class is the common one nearly always, however well the network ranks. Both can be
mended by two numbers that are fitted on volumes that no weight saw.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar

from medpipe_core.train.figures import FiguresError, log_loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SMALLEST = np.finfo(np.float64).tiny
_TEMPERATURES = (0.05, 20.0)
_RESAMPLES = 200


@dataclass(frozen=True)
class DecisionRule:
    """How answers follow from a network's probabilities.

    Attributes:
        temperature: Logits are divided by it (Guo et al. 2017, section 4.2); 1 changes nothing.
        threshold: For two classes, the calibrated probability of class 1 from which the answer is
            class 1; None where the most probable class is the answer.
        fitted_on: Volumes that it was fitted on; 0 for a rule that was not fitted.
    """

    temperature: float = 1.0
    threshold: float | None = None
    fitted_on: int = 0

    def calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, `(count, classes)`, at the temperature."""
        logits = np.log(np.maximum(probabilities, _SMALLEST)) / self.temperature
        scaled = np.exp(logits - logits.max(1, keepdims=True))
        calibrated: NDArray[np.float64] = scaled / scaled.sum(1, keepdims=True)
        return calibrated

    def decide(self, calibrated: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return an answer for each row of calibrated probabilities, `(count,)`."""
        if self.threshold is None:
            return np.asarray(calibrated.argmax(1), np.int64)
        return np.asarray(calibrated[:, 1] >= self.threshold, np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DecisionRule:
        """Read what `to_dict` gave."""
        threshold = data["threshold"]
        return cls(
            float(data["temperature"]),
            None if threshold is None else float(threshold),
            int(data["fitted_on"]),
        )


def fit_rule(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int = 0
) -> DecisionRule:
    """Fit a rule on volumes that no weight saw.

    The temperature makes the log loss least. The threshold, for two classes, is for accuracy: a
    bootstrap of the volumes is drawn again and again, and the median of the best thresholds
    taken, on the scale of logits; a single best one would fit the accidents of a small set. Where
    a class is missing nothing can be fitted.

    Args:
        probabilities: `(count, classes)`.
        labels: `(count,)`.
        seed: Seed of the bootstrap.

    Raises:
        FiguresError: A probability is not finite.
    """
    if not np.isfinite(probabilities).all():
        raise FiguresError("a probability is not a finite number, so no decision can be fitted")
    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        return DecisionRule()
    temperature = _temperature(probabilities, labels)
    rule = DecisionRule(temperature, None, len(labels))
    if classes != 2:
        return rule
    threshold = _threshold(rule.calibrated(probabilities)[:, 1], labels, seed)
    return DecisionRule(temperature, threshold, len(labels))


def _temperature(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    def loss(log_temperature: float) -> float:
        return log_loss(DecisionRule(np.exp(log_temperature)).calibrated(probabilities), labels)

    bounds = tuple(np.log(_TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def _threshold(positive: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> float:
    rng = np.random.default_rng(seed)
    logits = np.log(np.maximum(positive, _SMALLEST)) - np.log(np.maximum(1 - positive, _SMALLEST))
    found = [
        _best_cut(logits[rows], labels[rows])
        for rows in rng.integers(0, len(labels), (_RESAMPLES, len(labels)))
    ]
    return float(1 / (1 + np.exp(-np.median(found))))


def _best_cut(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the cut of highest accuracy; of several the one nearest to 0, the default."""
    order = np.argsort(logits)
    ordered, positive = logits[order], labels[order] == 1
    # With a cut below position i, all from i on are called positive.
    right = np.concatenate([[0], np.cumsum(~positive)]) + np.concatenate(
        [np.cumsum(positive[::-1])[::-1], [0]]
    )
    edges = np.concatenate([[ordered[0] - 1], ordered, [ordered[-1] + 1]])
    possible = np.concatenate([[True], np.diff(ordered) > 0, [True]])  # not between equal ones
    best = np.flatnonzero(possible & (right == right[possible].max()))
    cuts = [min(max(0.0, edges[i]), edges[i + 1]) if edges[i] < 0 < edges[i + 1]
            else (edges[i] + edges[i + 1]) / 2 for i in best]  # fmt: skip
    return float(min(cuts, key=abs))
