"""How well facts beside the picture predict the label: what a network might learn instead of it.

Slices of a scan, spacing, mean intensity or the scanner say nothing of a disease. Where one of them
alone tells the classes apart, a network may have learned that, and its figures say little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from medpipe_core.data import facts_of
from medpipe_core.train.figures import mean_ranks, percentile_intervals, resampled_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core.data import LabelledVolumes

ALL = "all of these together"
_BINS = 6
_TEXTS = 8
_PENALTY = 1.0
_RESAMPLES = 200
_PERMUTATIONS = 2000
_LEVEL = 0.05
_PARTS = 2  # each fact is judged on validation and on test


class ShortcutModels:
    """A model of the label for each fact, and one for all together, fitted on training volumes.

    A number is taken by its rank among the training volumes and by the sixth of them that it falls
    into, so that dependences that rise, fall or turn are found; a text by its value. The model is a
    logistic regression with an L2 penalty. Facts with one value are left out.

    Args:
        train: Training volumes.
        classes: How many classes there are.
    """

    def __init__(self, train: LabelledVolumes, classes: int) -> None:
        facts = facts_of(train)
        encoders = {name: _encoder(values) for name, values in facts.items()}
        self._encoders = {name: one for name, one in encoders.items() if one is not None}
        self._weights = {
            name: _fitted(self._features(facts, name), train.labels, classes) for name in self.names
        }

    @property
    def names(self) -> list[str]:
        """The facts that are told apart, and `ALL` where there are several."""
        return [*self._encoders, *([ALL] if len(self._encoders) > 1 else [])]

    def probabilities(self, data: LabelledVolumes) -> dict[str, NDArray[np.float64]]:
        """Return what each model answers, `(count, classes)`."""
        facts = facts_of(data)
        return {
            name: softmax(_with_one(self._features(facts, name)) @ self._weights[name], axis=1)
            for name in self.names
        }

    def judge(self, data: LabelledVolumes, *, seed: int) -> dict[str, dict[str, Any]]:
        """Return fact → `auc` and `accuracy` with 95 % intervals over patients, `p`, `shortcut`.

        `p` is that of a permutation of labels among patients: how often chance alone ranks so well.
        A fact is a `shortcut` if the area under its ROC curve is above one half with p below 5 %
        divided by the number of facts and parts that are looked at.
        """
        told = {}
        for name, probabilities in self.probabilities(data).items():
            figures = _figures(probabilities, data, seed)
            p = _p_value(probabilities, data, np.random.default_rng(seed))
            surely = p <= _LEVEL / (_PARTS * len(self.names)) and figures["auc"]["low"] > 0.5
            told[name] = {**figures, "p": p, "shortcut": bool(surely)}
        return told

    def _features(self, facts: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
        names = list(self._encoders) if name == ALL else [name]
        count = len(next(iter(facts.values())))
        unknown = {one: np.full(count, np.nan) for one in names if one not in facts}
        known = {**facts, **unknown}
        return np.concatenate([self._encoders[one](known[one]) for one in names], axis=1)


@dataclass(frozen=True)
class _Numbers:
    """Numbers as columns: rank, sixth, and whether there is none."""

    known: NDArray[np.float64]
    edges: NDArray[np.float64]

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        given = values.astype(np.float64)
        missing = ~np.isfinite(given)
        below = np.searchsorted(self.known, given, "left") + np.searchsorted(
            self.known, given, "right"
        )
        rank = np.where(missing, 0, below / len(self.known) - 1)
        place = np.where(missing, len(self.edges) + 1, np.searchsorted(self.edges, given, "right"))
        return np.column_stack((rank, np.eye(len(self.edges) + 2)[place]))


@dataclass(frozen=True)
class _Texts:
    """Texts as columns, the rare ones together."""

    known: tuple[str, ...]

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        given = values.astype(str)
        return np.column_stack([given == text for text in self.known]).astype(np.float64)


def _encoder(values: NDArray[Any]) -> _Numbers | _Texts | None:
    """Return what makes columns of a fact; None where it has one value."""
    if values.dtype.kind not in "fiub":
        texts, counts = np.unique(values.astype(str), return_counts=True)
        if len(texts) < 2:
            return None
        return _Texts(tuple(texts[np.argsort(-counts, kind="stable")][:_TEXTS].tolist()))
    numbers = values.astype(np.float64)
    known = np.sort(numbers[np.isfinite(numbers)])
    if not len(known) or (known[0] == known[-1] and len(known) == len(numbers)):
        return None
    return _Numbers(known, np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS)))


def _with_one(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack((features, np.ones(len(features))))


def _fitted(
    features: NDArray[np.float64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Return the weights of a logistic regression, `(features + 1, classes)`."""
    inputs, targets = _with_one(features), np.eye(classes)[labels]
    shape = (inputs.shape[1], classes)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        logs = log_softmax(inputs @ weights, axis=1)
        penalised = np.concatenate((weights[:-1], np.zeros((1, classes))))
        value = -(targets * logs).sum() + _PENALTY / 2 * (penalised**2).sum()
        gradient = inputs.T @ (np.exp(logs) - targets) + _PENALTY * penalised
        return float(value), gradient.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B")
    weights: NDArray[np.float64] = found.x.reshape(shape)
    return weights


def _figures(
    probabilities: NDArray[np.float64], data: LabelledVolumes, seed: int
) -> dict[str, dict[str, float]]:
    """Return area and accuracy with their bootstrap intervals.

    Resamples are told by how often each volume is in them, so that volumes are ranked once.
    """
    count = len(data)
    rows = resampled_rows(count, data.groups, _RESAMPLES, np.random.default_rng(seed))
    drawn = np.stack([np.bincount(row, minlength=count) for row in rows])
    right = probabilities.argmax(1) == data.labels

    def told(times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        areas = _areas(probabilities, data.labels, times)
        return {"auc": areas, "accuracy": times @ right / times.sum(1)}

    of_all = told(np.ones((1, count), np.int64))
    return percentile_intervals({name: float(n[0]) for name, n in of_all.items()}, told(drawn))


def _areas(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the area under the ROC curve, mean over the classes that are there and not alone.

    Args:
        probabilities: `(count, classes)`.
        labels: `(count,)`.
        times: `(resamples, count)`, how often each volume is there.
    """
    areas = np.full((probabilities.shape[1], len(times)), np.nan)
    for label, scores in enumerate(probabilities.T):
        order = np.argsort(scores, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # of those that are tied
        tied = np.add.reduceat(times[:, order], first, axis=1)
        of_class = np.add.reduceat((times * (labels == label))[:, order], first, axis=1)
        ranks = tied.cumsum(axis=1) - (tied - 1) / 2
        positives = of_class.sum(1)
        pairs = positives * (times.sum(1) - positives)
        above = (ranks * of_class).sum(1) - positives * (positives + 1) / 2
        np.divide(above, pairs, out=areas[label], where=pairs > 0)
    there = np.isfinite(areas)
    counted = there.sum(0)
    means = np.full(len(times), np.nan)
    np.divide(np.where(there, areas, 0).sum(0), counted, out=means, where=counted > 0)
    return means


def _p_value(
    probabilities: NDArray[np.float64], data: LabelledVolumes, rng: np.random.Generator
) -> float:
    """Return how often labels that are exchanged among patients are ranked as well."""
    patients = np.arange(len(data)) if data.groups is None else data.groups
    _, first, of = np.unique(patients, return_index=True, return_inverse=True)
    count = np.bincount(of)
    mean = np.stack([np.bincount(of, column) / count for column in probabilities.T], axis=1)
    labels = data.labels[first]
    reached = _areas(mean, labels, np.ones((1, len(labels)), np.int64))[0]
    if not np.isfinite(reached):
        return 1.0
    drawn = rng.permuted(np.tile(labels, (_PERMUTATIONS, 1)), axis=1)
    areas = []
    for label, of_class in enumerate(mean.T):
        positives = int((labels == label).sum())
        pairs = positives * (len(labels) - positives)
        if pairs:
            ranks = mean_ranks(of_class, of_class)
            areas.append(((drawn == label) @ ranks - positives * (positives + 1) / 2) / pairs)
    as_well = np.mean(areas, axis=0) >= reached - 1e-12
    return float((1 + as_well.sum()) / (1 + _PERMUTATIONS))
