"""Curves of probabilities against labels: how they rank, and whether they mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 10
_MOST_POINTS = 200


def roc_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> list[list[float]]:
    """Return the corners of a receiver operating characteristic.

    Args:
        scores: `(count,)`, larger where a volume is likelier positive.
        positive: `(count,)`, whether it is.

    Returns:
        `[1 − specificity, sensitivity]` from `[0, 0]` to `[1, 1]`, at most some 200; the area under
        them is `auc` where none was left out. None where all or no volumes are positive.
    """
    positives = int(positive.sum())
    if not 0 < positives < len(positive):
        return []
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores
    found = np.cumsum(positive[order])[last] / positives
    false = np.cumsum(~positive[order])[last] / (len(positive) - positives)
    points = np.stack((np.append(0, false), np.append(0, found)), axis=1)
    steps = np.diff(points, axis=0)
    turns = np.append(True, steps[:-1, 0] * steps[1:, 1] != steps[:-1, 1] * steps[1:, 0])
    corners = points[np.append(turns, True)]
    if len(corners) > _MOST_POINTS:
        kept = np.unique(np.linspace(0, len(corners) - 1, _MOST_POINTS).round().astype(int))
        corners = corners[kept]
    told: list[list[float]] = corners.round(6).tolist()
    return told


def reliability(
    probabilities: NDArray[np.float64], positive: NDArray[np.bool_]
) -> list[dict[str, float]]:
    """Return how often volumes are positive whose probability lies in a range.

    Volumes are sorted into at most ten bins of equal count, equal probabilities into one.

    Args:
        probabilities: `(count,)`, of being positive.
        positive: `(count,)`, whether it is.

    Returns:
        For each bin the mean `probability`, the `share` that is positive with the 95 % interval
        `low` to `high` of Wilson (1927), and the `count`.
    """
    count = len(positive)
    if not count:
        return []
    fewer = np.sort(probabilities).searchsorted(probabilities)  # of equal ones all have as many
    bins = np.minimum(fewer * _BINS // count, _BINS - 1)
    told = []
    for number in np.unique(bins):
        inside = bins == number
        n, found = int(inside.sum()), int(positive[inside].sum())
        low, high = wilson(found, n)
        mean = float(probabilities[inside].mean())
        share = found / n
        told.append({"probability": mean, "share": share, "low": low, "high": high, "count": n})
    return told


def calibration_error(bins: list[dict[str, float]]) -> float:
    """Return the mean gap between probability and share over bins, weighted by their counts."""
    total = sum(one["count"] for one in bins)
    gaps = sum(abs(one["probability"] - one["share"]) * one["count"] for one in bins)
    return gaps / total if total else float("nan")


def wilson(found: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    centre = (found + z**2 / 2) / (count + z**2)
    half = z / (count + z**2) * np.sqrt(found * (count - found) / count + z**2 / 4)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def class_curves(
    raw: NDArray[np.float64],
    calibrated: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Return the curves of each class against the others; of two classes, of the second one.

    Args:
        raw: `(count, classes)`, probabilities as the network gives them.
        calibrated: `(count, classes)`, at the fitted temperature.
        labels: `(count,)`.
        classes: Names of the classes.

    Returns:
        For each the name of the `class`, its `roc`, its `calibration` after fitting, and
        `calibration_error` before (`raw`) and after (`calibrated`).
    """
    told = []
    for number in range(len(classes)) if len(classes) > 2 else (1,):
        positive = labels == number
        bins = reliability(calibrated[:, number], positive)
        before = calibration_error(reliability(raw[:, number], positive))
        told.append(
            {
                "class": classes[number],
                "roc": roc_curve(calibrated[:, number], positive),
                "calibration": bins,
                "calibration_error": {"raw": before, "calibrated": calibration_error(bins)},
            }
        )
    return told
