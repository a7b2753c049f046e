"""Figures of merit of class probabilities, and their bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def metrics(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the figures of merit of predictions.

    - `accuracy`: share of volumes whose most probable class is right.
    - `balanced_accuracy`: mean over the classes present of the share of each that is found.
    - `precision`, `sensitivity`: of label 1 for two classes; the mean over classes for more.
    - `f1_weighted`, `f1_macro`: F1 of each class, averaged by its count in the labels, or evenly
      over the classes that are in labels or predictions.
    - `auc`: area under the ROC curve of class 1's probability; for more than two classes the
      mean over classes of one against the rest. NaN where a class is absent.

    A share of nothing, such as the precision of a class never predicted, counts as 0.

    Args:
        probabilities: `(count, classes)`, rows summing to 1.
        labels: `(count,)`.
    """
    matrix = confusion(probabilities, labels)
    found, actual, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    recall, precision = _share(found, actual), _share(found, predicted)
    f1 = _share(2 * found, actual + predicted)
    present, seen = actual > 0, (actual + predicted) > 0
    binary = len(matrix) == 2
    return {
        "accuracy": float(found.sum() / max(actual.sum(), 1)),
        "balanced_accuracy": float(recall[present].mean()) if present.any() else float("nan"),
        "precision": float(precision[1] if binary else precision[seen].mean()),
        "sensitivity": float(recall[1] if binary else recall[present].mean()),
        "f1_weighted": float((f1 * actual).sum() / max(actual.sum(), 1)),
        "f1_macro": float(f1[seen].mean()),
        "auc": auc(probabilities, labels),
    }


def per_class(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, list[float]]:
    """Return precision, sensitivity and F1 of each class."""
    matrix = confusion(probabilities, labels)
    found, actual, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return {
        "precision": _share(found, predicted).tolist(),
        "sensitivity": _share(found, actual).tolist(),
        "f1": _share(2 * found, actual + predicted).tolist(),
    }


def confusion(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count volumes by actual (row) and predicted (column) class, `(classes, classes)`."""
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve, as `metrics` defines it."""
    if probabilities.shape[1] == 2:
        return _binary_auc(probabilities[:, 1], labels == 1)
    areas = [_binary_auc(p, labels == k) for k, p in enumerate(probabilities.T)]
    return float(np.mean(areas))


def medmnist_figures(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return AUC and ACC as the MedMNIST evaluator (medmnist 3.0) defines them.

    They are `auc` and `accuracy` but for a tie of two classes: there ACC asks for a probability
    of class 1 above one half, so a tie counts as class 0, as it does with `argmax`.
    """
    if probabilities.shape[1] == 2:
        accuracy = np.mean((probabilities[:, 1] > 0.5) == (labels == 1))
    else:
        accuracy = np.mean(probabilities.argmax(1) == labels)
    return {"AUC": auc(probabilities, labels), "ACC": float(accuracy)}


def majority_probabilities(
    train_labels: NDArray[np.int64], count: int, classes: int
) -> NDArray[np.float64]:
    """Return the predictions of always answering the training set's most frequent class."""
    answer = np.bincount(train_labels, minlength=classes).argmax()
    return np.tile(np.eye(classes)[answer], (count, 1))


def bootstrap(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
    figures: Callable[..., dict[str, float]] = metrics,
) -> dict[str, dict[str, float]]:
    """Return every figure with its percentile bootstrap interval over volumes.

    Volumes are drawn with replacement from all, not class by class, so the interval includes the
    chance that the class shares vary. A resample in which a figure is undefined, such as the AUC
    without a positive, is left out of that figure's interval.

    Args:
        probabilities: `(count, classes)`.
        labels: `(count,)`.
        seed: Seed of the resamples.
        resamples: How many.
        level: Coverage of the interval.
        figures: What is computed of predictions and labels.

    Returns:
        Figure → `{"value", "low", "high"}`.
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(labels), (resamples, len(labels)))
    drawn = [figures(probabilities[row], labels[row]) for row in rows]
    value = figures(probabilities, labels)
    tails = [(1 - level) / 2, (1 + level) / 2]
    intervals: dict[str, dict[str, float]] = {}
    for name, number in value.items():
        defined = [d[name] for d in drawn if np.isfinite(d[name])]
        low, high = np.quantile(defined, tails) if defined else (number, number)
        intervals[name] = {"value": number, "low": float(low), "high": float(high)}
    return intervals


def _binary_auc(scores: NDArray[np.float64], positive: NDArray[Any]) -> float:
    """Return the share of (positive, negative) pairs in the right order, ties counting half."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float(
        (ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
