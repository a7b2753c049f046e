"""Whether a run's volumes are enough to train on, and to rank candidates by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.data import DataError, halves
from medpipe_core.train import RankingError, check_ranking

if TYPE_CHECKING:
    from medpipe_core.data import Development
    from medpipe_core.execution.context import RunContext

_LEAST = 2  # batch normalisation cannot train on one


def check_run_volumes(context: RunContext, development: Development, *, searches: bool) -> None:
    """Refuse volumes with which a run could not end: known now, else told after the whole search.

    Candidates are trained on one half of the training set, and ranked on the other and the
    validation set; epochs of the retraining, where the best one counts, on the validation set.

    Args:
        context: The run's configuration, bound.
        development: Training and validation volumes.
        searches: Whether there is a search; without one nothing is halved.

    Raises:
        ConfigurationError: The figure that ranks cannot be told, as an AUC without a volume of
            some class.
        DataError: There are too few volumes to train on, or the training set cannot be split into
            halves.
    """
    keys, train, validation = context.keys, development.train, development.validation.labels
    asked = []
    if searches:
        one, other = halves(train.labels, train.groups, seed=context.seed("halves"))
        if (least := min(len(one), len(other))) < _LEAST:
            raise DataError(
                f"train has {len(train)} volumes, and a half of it, as a search takes it, {least}; "
                f"at least {_LEAST} are needed to train on"
            )
        ranking = np.concatenate([train.labels[other], validation])
        asked.append(
            ("evaluate", keys.evaluate.rank_by, ranking, "the volumes that rank candidates")
        )
    elif len(train) < _LEAST:
        raise DataError(f"train has one volume; at least {_LEAST} are needed to train on")
    if keys.retrain.select == "best":
        asked.append(("retrain", keys.retrain.rank_by, validation, "the validation volumes"))
    problems = []
    for stage, figure, labels, among in asked:
        try:
            check_ranking(figure, labels, context.card.classes, among=among)
        except RankingError as error:
            problems.append(f"{stage}.{error}")
    if problems:
        raise ConfigurationError(problems)
