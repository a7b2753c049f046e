"""Splits that keep class shares and never part a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.arrays import as_labels, as_patients
from medpipe_core.data.errors import DataError
from medpipe_core.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def halves(
    labels: NDArray[np.int64], groups: NDArray[Any] | None = None, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split into two equal halves, stratified by class, every patient on one side.

    Patients are taken class by class (a patient's class is its most frequent label), in random
    order with the largest first, each to the side that has fewer volumes of that class so far; of
    equal sides to the smaller one. Without patients of several volumes the halves differ by at most
    one volume, in all and in each class.

    Args:
        labels: `(count,)`, the class of each volume.
        groups: `(count,)`, the patient of each volume; None where every volume is a patient.
        seed: Seed of the order.

    Returns:
        Sorted positions of the two halves.

    Raises:
        DataError: There are fewer than two patients.
    """
    return split(labels, groups, share=0.5, seed=seed)


def split(
    labels: NDArray[np.int64], groups: NDArray[Any] | None = None, *, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split off a share, stratified by class, every patient on one side.

    Args:
        labels: `(count,)`, the class of each volume.
        groups: `(count,)`, the patient of each volume; None where every volume is a patient.
        share: Share of the first part, in (0, 1).
        seed: Seed of the order.

    Returns:
        Sorted positions of the two parts.

    Raises:
        DataError: There are fewer than two patients, labels or patients are not what
            `LabelledVolumes` takes, or the share is not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> labels, patients = np.array([0, 0, 1, 1]), np.array(["a", "b", "c", "d"])
        >>> test, rest = split(labels, patients, share=0.5, seed=0)
        >>> len(test), len(rest)
        (2, 2)
    """
    if not 0 < share < 1:
        raise DataError(f"share={share}: the share of the first part is above 0 and below 1")
    labels, patients = _labels_and_patients(labels, groups)
    if len(patients) < 2:
        raise DataError(
            f"cannot split {counted(len(labels), 'volume')} of "
            f"{counted(len(patients), 'patient')} in two"
        )
    shares = (share, 1 - share)
    sides: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for of_class in _by_class(labels, patients, seed):
        held = [0, 0]
        for patient in of_class:
            filled = [(held[s] / shares[s], _count(sides[s]) / shares[s]) for s in (0, 1)]
            side = 0 if filled[0] <= filled[1] else 1
            sides[side].append(patient)
            held[side] += len(patient)
    return _positions(sides[0]), _positions(sides[1])


def folds(
    labels: NDArray[np.int64], groups: NDArray[Any] | None = None, *, count: int, seed: int
) -> list[NDArray[np.int64]]:
    """Split into folds of one size, stratified by class, every patient in one fold.

    Patients are taken as `halves` takes them, each to the fold that has fewest volumes of its class
    so far; of equal ones to the smallest.

    Args:
        labels: `(count,)`, the class of each volume.
        groups: `(count,)`, the patient of each volume; None where every volume is a patient.
        count: How many folds, at least 2.
        seed: Seed of the order.

    Returns:
        Sorted positions of each fold.

    Raises:
        DataError: There are fewer patients than folds, or labels or patients are not what
            `LabelledVolumes` takes.
    """
    labels, patients = _labels_and_patients(labels, groups)
    if count < 2 or len(patients) < count:
        raise DataError(
            f"cannot split {counted(len(labels), 'volume')} of "
            f"{counted(len(patients), 'patient')} into {counted(count, 'fold')}; give at least 2 "
            "folds, and at most as many as there are patients"
        )
    found: list[list[NDArray[np.int64]]] = [[] for _ in range(count)]
    for of_class in _by_class(labels, patients, seed):
        held = [0] * count
        for patient in of_class:
            fold = min(range(count), key=lambda k: (held[k], _count(found[k])))
            found[fold].append(patient)
            held[fold] += len(patient)
    return [_positions(fold) for fold in found]


def _labels_and_patients(
    labels: NDArray[np.int64], groups: NDArray[Any] | None
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    labels = as_labels(labels, len(labels))
    return labels, _patients(labels, None if groups is None else as_patients(groups, len(labels)))


def _by_class(
    labels: NDArray[np.int64], patients: list[NDArray[np.int64]], seed: int
) -> Iterator[list[NDArray[np.int64]]]:
    """Iterate over classes: the patients of each in random order, the largest first."""
    order = np.random.default_rng(seed).permutation(len(patients))
    largest_first = sorted(order, key=lambda i: -len(patients[i]))
    main = [_commonest(labels[rows]) for rows in patients]
    for label in np.unique(main):
        yield [patients[i] for i in largest_first if main[i] == label]


def _commonest(labels: NDArray[np.int64]) -> int:
    names, counts = np.unique(labels, return_counts=True)
    return int(names[counts.argmax()])


def _patients(labels: NDArray[np.int64], groups: NDArray[Any] | None) -> list[NDArray[np.int64]]:
    if groups is None:
        return [np.array([i]) for i in range(len(labels))]
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)


def _count(parts: list[NDArray[np.int64]]) -> int:
    return sum(map(len, parts))


def _positions(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
