"""Whether a run's candidates can be ranked on the volumes that rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.data import halves
from medpipe_core.train import RankingError, check_ranking

if TYPE_CHECKING:
    from medpipe_core.data import Development
    from medpipe_core.execution.context import RunContext


def check_run_ranking(context: RunContext, development: Development) -> None:
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
    asked = [("evaluate", keys.evaluate.rank_by, ranking, "the volumes that rank candidates")]
    if keys.retrain.select == "best":
        validation = development.validation.labels
        asked.append(("retrain", keys.retrain.rank_by, validation, "the validation volumes"))
    problems = []
    for stage, figure, labels, among in asked:
        try:
            check_ranking(figure, labels, context.card.classes, among=among)
        except RankingError as error:
            problems.append(f"{stage}.{error}")
    if problems:
        raise ConfigurationError(problems)
