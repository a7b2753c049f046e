"""Figures of merit of class probabilities, and their bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.errors import MedpipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray


FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "sensitivity",
    "specificity",
    "f1_weighted",
    "f1_macro",
    "auc",
)

BY_CLASS = ("precision", "sensitivity", "specificity", "f1")


class FiguresError(MedpipeError):
    """Predictions and labels that do not belong together."""


def metrics(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the figures of merit of predictions.

    - `accuracy`: share of volumes whose most probable class is right.
    - `balanced_accuracy`: mean over classes of the share of each that is found.
    - `precision`, `sensitivity`: of label 1 for two classes; the mean over classes for more.
    - `specificity`: of label 1 for two classes, the share of the others that is not taken for it;
      for more the mean over classes of that of one against the rest.
    - `f1_weighted`, `f1_macro`: F1 of each class, averaged by its count in the labels, or evenly.
    - `auc`: area under the ROC curve of class 1's probability; for more than two classes the
      mean over classes of one against the rest. NaN where a class is absent.

    The precision of a class that volumes have and that is never predicted is 0. What cannot be
    told is NaN, and left out of means over classes: the sensitivity of a class that no volume has,
    the specificity of one that all have,
    any figure of a class that is in neither labels nor predictions, and all figures where a
    probability is not finite, which `argmax` would take for an answer.

    Args:
        probabilities: `(count, classes)`, rows summing to 1; of equal ones the first class wins.
        labels: `(count,)`.

    Raises:
        FiguresError: Shapes do not fit, or a label is not a class.
    """
    matrix = confusion(probabilities, labels)
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(FIGURES, float("nan"))
    precision, sensitivity, specificity, f1 = _by_class(matrix)
    actual = matrix.sum(1)
    binary = len(matrix) == 2
    return {
        "accuracy": float(np.trace(matrix) / len(labels)) if len(labels) else float("nan"),
        "balanced_accuracy": _mean(sensitivity),
        "precision": float(precision[1]) if binary else _mean(precision),
        "sensitivity": float(sensitivity[1]) if binary else _mean(sensitivity),
        "specificity": float(specificity[1]) if binary else _mean(specificity),
        "f1_weighted": _mean(f1, actual),
        "f1_macro": _mean(f1),
        "auc": auc(probabilities, labels),
    }


def per_class(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, list[float]]:
    """Return precision, sensitivity, specificity and F1 of each class; NaN as in `metrics`."""
    by_class = _by_class(confusion(probabilities, labels))
    return {name: values.tolist() for name, values in zip(BY_CLASS, by_class, strict=True)}


def class_figures(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return what `per_class` does and the area under the ROC curve, as `figure/number of class`.

    In this form `bootstrap` takes it.
    """
    classes = range(probabilities.shape[1])
    told = {
        f"{name}/{number}": value
        for name, values in per_class(probabilities, labels).items()
        for number, value in zip(classes, values, strict=True)
    }
    for number in classes:
        one = np.stack((1 - probabilities[:, number], probabilities[:, number]), axis=1)
        told[f"auc/{number}"] = auc(one, (labels == number).astype(np.int64))
    return told


def log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean of −ln of the probability of each volume's class.

    Probabilities count as at least 2.2e-16, so that one hopeless volume does not decide alone.
    """
    if not len(labels):
        return float("nan")
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).eps)).mean())


def confusion(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count volumes by actual (row) and predicted (column) class, `(classes, classes)`.

    Raises:
        FiguresError: Shapes do not fit, or a label is not a class.
    """
    _check(probabilities, labels)
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def auc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve, as `metrics` defines it."""
    classes = probabilities.shape[1]
    asked = np.array([1]) if classes == 2 else np.arange(classes)
    positive = labels[:, None] == asked
    positives = positive.sum(0)
    pairs = positives * (len(labels) - positives)
    if not pairs.all():
        return float("nan")
    if not np.isfinite(probabilities).all():
        return float("nan")
    columns = zip(probabilities[:, asked].T, positive.T, strict=True)
    ranks = np.array([mean_ranks(scores[chosen], scores).sum() for scores, chosen in columns])
    # Of the (positive, negative) pairs of a class, the share in the right order, ties half.
    return float(np.mean((ranks - positives * (positives + 1) / 2) / pairs))


def mean_ranks(some: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks of some scores among all, from 1, ties with their mean rank.

    As `scipy.stats.rankdata` has them, in a third of the time for the few hundred of a bootstrap;
    and scipy.stats takes half a second to import.
    """
    ordered = np.sort(scores)
    ranks: NDArray[np.float64] = (
        ordered.searchsorted(some, "left") + ordered.searchsorted(some, "right") + 1
    ) / 2
    return ranks


def chance_auc(labels: NDArray[np.int64], classes: int) -> float:
    """Return the area under the ROC curve that guesses exceed in one of forty cases, or NaN.

    Of guesses it is normal about one half, for a class with n of N volumes with the variance
    (N + 1) / (12 n (N - n)) (Mann and Whitney 1947). The mean over classes varies no more than the
    mean of their deviations, so for several classes the bound is on the safe side.
    """
    counts = np.bincount(labels, minlength=classes)[-1 if classes == 2 else 0 :]
    pairs = counts * (len(labels) - counts)
    if not pairs.all():
        return float("nan")
    return float(0.5 + 1.96 * np.mean(np.sqrt((len(labels) + 1) / (12 * pairs))))


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
    groups: NDArray[Any] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    figures: Callable[..., dict[str, float]] = metrics,
) -> dict[str, dict[str, float]]:
    """Return every figure with its percentile bootstrap interval.

    Volumes are drawn with replacement from all, not class by class, so the interval includes the
    chance that the class shares vary; volumes of one patient are drawn together. A resample in
    which a figure is undefined, such as the AUC without a positive, is left out of that figure's
    interval. Where every answer is right, so is every resample: an interval of no width then says
    that the test set is too easy or too small to tell, not that nothing is uncertain.

    Args:
        probabilities: `(count, classes)`.
        labels: `(count,)`.
        seed: Seed of the resamples.
        groups: `(count,)`, the patient of each volume; None where every volume is a patient.
        resamples: How many.
        level: Coverage of the interval, in (0, 1).
        figures: What is computed of predictions and labels.

    Returns:
        Figure → `{"value", "low", "high"}`.
    """
    drawn = [
        figures(probabilities[rows], labels[rows])
        for rows in resampled_rows(len(labels), groups, resamples, np.random.default_rng(seed))
    ]
    value = figures(probabilities, labels)
    return percentile_intervals(
        value, {name: np.array([d[name] for d in drawn]) for name in value}, level
    )


def percentile_intervals(
    value: Mapping[str, float], drawn: Mapping[str, NDArray[np.float64]], level: float = 0.95
) -> dict[str, dict[str, float]]:
    """Return every figure with the interval of what it is in resamples, where it is defined."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    intervals: dict[str, dict[str, float]] = {}
    for name, number in value.items():
        defined = drawn[name][np.isfinite(drawn[name])]
        low, high = np.quantile(defined, tails) if len(defined) else (number, number)
        intervals[name] = {"value": number, "low": float(low), "high": float(high)}
    return intervals


def resampled_rows(
    count: int, groups: NDArray[Any] | None, resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Return the rows of each resample: drawn with replacement, those of a patient together."""
    if groups is None:
        yield from rng.integers(0, count, (resamples, count))
        return
    _, patient = np.unique(groups, return_inverse=True)
    volumes = [np.flatnonzero(patient == number) for number in range(patient.max() + 1)]
    for row in rng.integers(0, len(volumes), (resamples, len(volumes))):
        yield np.concatenate([volumes[number] for number in row])


def _by_class(matrix: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Return precision, sensitivity, specificity and F1 of each class."""
    found, actual, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    seen = actual + predicted > 0
    # A class that volumes have and that is never answered earns a precision of 0: without it the
    # mean over classes would reward leaving rare classes out.
    precision = np.where(seen & (predicted == 0), 0.0, _share(found, predicted))
    others = matrix.sum() - actual
    specificity = _share(others - (predicted - found), others)
    return precision, _share(found, actual), specificity, _share(2 * found, actual + predicted)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _mean(values: NDArray[np.float64], weights: NDArray[Any] | None = None) -> float:
    """Return the mean over the classes where the figure is defined."""
    defined = np.isfinite(values) if weights is None else weights > 0
    if not defined.any():
        return float("nan")
    return float(np.average(values[defined], weights=None if weights is None else weights[defined]))


def _check(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),):
        raise FiguresError(
            "probabilities must be (count, classes) and labels (count,), but are "
            f"{probabilities.shape} and {labels.shape}"
        )
    classes = probabilities.shape[1]
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise FiguresError(
            f"labels must be in 0 … {classes - 1}, but are in {labels.min()} … {labels.max()}; "
            "give as many class names as the data have classes"
        )
