"""Whether the figure that ranks candidates can be told of the volumes that rank them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.data import halves
from medpipe_core.train import ClassificationTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data import Development
    from medpipe_core.execution.context import RunContext


def check_ranking(context: RunContext, development: Development) -> None:
    """Refuse data by which a run could not rank: known now, else told after the whole search.

    Candidates are ranked on the half of the training set that trains no weights, and the
    validation set; epochs of the retraining, where the best one counts, on the validation set.

    Raises:
        ConfigurationError: The figure cannot be told, as an AUC without a volume of some class.
        DataError: The training set cannot be split into halves.
    """
    keys, train = context.keys, development.train
    _, others = halves(train.labels, train.groups, seed=context.seed("halves"))
    ranking = np.concatenate([train.labels[others], development.validation.labels])
    asked = [("evaluate", keys.evaluate.rank_by, ranking)]
    if keys.retrain.select == "best":
        asked.append(("retrain", keys.retrain.rank_by, development.validation.labels))
    problems = [
        f"{stage}.rank_by={figure}: it cannot be told of the {len(labels)} volumes that rank, "
        f"which have none of {_absent(labels, context.card.classes)}; choose another figure, such "
        f"as {stage}.rank_by=balanced_accuracy, or more volumes"
        for stage, figure, labels in asked
        if not _can_be_told(figure, labels, context.card.classes)
    ]
    if problems:
        raise ConfigurationError(problems)


def _can_be_told(figure: str, labels: NDArray[np.int64], classes: tuple[str, ...]) -> bool:
    blind = np.full((len(labels), len(classes)), 1 / len(classes))
    return math.isfinite(ClassificationTask(classes).figures(blind, labels)[figure])


def _absent(labels: NDArray[np.int64], classes: tuple[str, ...]) -> str:
    counts = np.bincount(labels, minlength=len(classes))
    absent = [repr(name) for name, count in zip(classes, counts, strict=True) if not count]
    return " and ".join(absent) or "any class"
