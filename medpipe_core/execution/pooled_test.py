"""Cross-validation: the figures of all folds' test volumes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.predictions_csv import read_predictions
from medpipe_core.train.figures import auc, bootstrap, metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from medpipe_core.record.predictions_csv import Prediction

_RESAMPLES = 1000


def pooled_test(folders: Sequence[tuple[int, Path]], name: str) -> dict[str, Any]:
    """Return figures over the union of the test folds of several runs.

    Runs of several seeds on the same folds count a volume once for each seed.

    Args:
        folders: Seed and folder of each run.
        name: Name of the predictions' file.

    Returns:
        `classes`, `count` of predictions, number of `cases` and of `patients`, `figures` of the
        most probable class and `decided`, those of each fold's own decision: figure → `{"value",
        "low", "high"}`. Intervals are 95 %, over patients. The area under the ROC curve is the mean
        over runs of that within each, weighted by volumes: probabilities of two networks do not
        rank together (Forman and Scholz 2010).

    Raises:
        RunFolderError: A file is missing or damaged, classes differ, or two folds of a seed test
            the same volume.
    """
    rows: list[Prediction] = []
    known: tuple[str, ...] = ()
    seen: set[tuple[int, str]] = set()
    origin: list[int] = []
    for number, (seed, folder) in enumerate(folders):
        classes, predictions = read_predictions(folder / name)
        if known and classes != known:
            raise RunFolderError(f"{folder}: has the classes {classes}, and others {known}")
        known = classes
        tested = [row for row in predictions if row.part == "test"]
        for row in tested:
            if (seed, row.case) in seen:
                raise RunFolderError(
                    f"{folder}: {row.case} was tested in another fold already; are the runs of one "
                    "data set and one split?"
                )
            seen.add((seed, row.case))
        rows += tested
        origin += [number] * len(tested)
    if not rows:
        raise RunFolderError("no volume was tested")
    if {name for row in rows for name in (row.true, row.decision)} - set(known):
        raise RunFolderError(f"a class of the predictions is none of {', '.join(known)}")
    labels = np.array([known.index(row.true) for row in rows])
    answers = np.eye(len(known))[[known.index(row.decision) for row in rows]]
    patients = np.array([row.patient for row in rows])
    probabilities = np.array([row.probabilities for row in rows])

    def with_intervals(given: NDArray[np.float64]) -> dict[str, dict[str, float]]:
        told = np.column_stack((given, origin))
        return bootstrap(
            told, labels, seed=0, groups=patients, resamples=_RESAMPLES, figures=_figures
        )

    found = with_intervals(probabilities)
    return {
        "classes": known,
        "count": len(rows),
        "cases": len({row.case for row in rows}),
        "patients": len(set(patients.tolist())),
        "figures": found,
        "decided": {**with_intervals(answers), "auc": found["auc"]},
    }


def _figures(told: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return figures of probabilities whose last column says which run they come from."""
    probabilities, origin = told[:, :-1], told[:, -1]
    within = [origin == number for number in np.unique(origin)]
    areas = np.array([auc(probabilities[rows], labels[rows]) for rows in within])
    counts = np.array([rows.sum() for rows in within])
    known = np.isfinite(areas)
    area = np.average(areas[known], weights=counts[known]) if known.any() else np.nan
    return {**metrics(probabilities, labels), "auc": float(area)}
