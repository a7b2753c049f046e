"""What the stages of a run are going to do, for the estimate of the time left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from medpipe_core.execution.race import brackets_of, rungs_of
from medpipe_core.execution.results import Planned

if TYPE_CHECKING:
    from collections.abc import Collection

    from medpipe_core.config.settings import Keys
    from medpipe_core.execution.race import Rung
    from medpipe_core.search.settings import SearchSettings

# A step of the search trains a path and shows it a validation batch; measured beside training.
_SEARCH_STEP = 3.0


def sized(keys: Keys, count: int) -> Keys:
    """Return the keys with as many epochs as their least steps take.

    An epoch of few volumes has few steps, and what is learnt follows the steps.

    Args:
        keys: The keys of the run.
        count: Training volumes; search and evaluation train on half of them.
    """
    search, half = keys.search, count // 2
    if search.scores == "shared":
        epochs = _enough(search.epochs, search.min_steps, half, search.batch_size)
        warmup = search.warmup_epochs * epochs // search.epochs
        search = search.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})
    evaluate, retrain = keys.evaluate, keys.retrain
    compared = _enough(evaluate.epochs, evaluate.min_steps, half, evaluate.batch_size)
    retrained = _enough(retrain.epochs, retrain.min_steps, count, retrain.batch_size)
    return keys.model_copy(
        update={
            "search": search,
            "evaluate": evaluate.model_copy(update={"epochs": compared}),
            "retrain": retrain.model_copy(update={"epochs": retrained}),
        }
    )


def _enough(epochs: int, min_steps: int, count: int, batch_size: int) -> int:
    return max(epochs, math.ceil(min_steps / batch_count(count, batch_size)))


def plan(keys: Keys, count: int, *, trains_weights: bool) -> dict[str, Planned]:
    """Return what each stage is going to do.

    Args:
        keys: The keys of the run, `sized`.
        count: Training volumes.
        trains_weights: Whether steps of the search train shared weights.
    """
    trial_epoch = batch_count(count // 2, keys.evaluate.batch_size)
    trials = sum(rung.count * rung.epochs for rung in rounds_of_evaluation(keys))
    epochs = keys.retrain.epochs * keys.retrain.members
    training = epochs * batch_count(count, keys.retrain.batch_size)
    return {
        "search": _search(keys, count // 2, trial_epoch, trains_weights=trains_weights),
        "evaluate": Planned("evaluate-epoch", trials, trials * trial_epoch),
        "retrain": Planned("retrain-epoch", epochs, training),
    }


def rounds_of_evaluation(keys: Keys, count: int | None = None) -> list[Rung]:
    """Return the rounds in which candidates are compared; none where there is but one.

    Args:
        keys: The keys of the run.
        count: How many there are; by default as many as are compared at most.
    """
    evaluate = keys.evaluate
    count = evaluate.top_k if count is None else count
    if count == 1:
        return []
    return rungs_of(count, evaluate.epochs, rungs=evaluate.rungs, reduction=evaluate.reduction)


def uses_shared_weights(keys: Keys, needs: Collection[str]) -> bool:
    """Say whether anybody uses the shared weights that the search's steps would train.

    Args:
        keys: The keys of the run.
        needs: What the searcher wants to be told of a step.
    """
    return keys.search.scores == "shared" or inherits_weights(keys) or bool(needs)


def inherits_weights(keys: Keys) -> bool:
    """Say whether a training begins with the search's weights; one candidate is not compared."""
    return keys.retrain.inherit or (keys.evaluate.inherit and keys.evaluate.top_k > 1)


def batch_count(count: int, size: int) -> int:
    """Return the number of batches in an epoch over `count` volumes."""
    return max(count // min(size, max(count, 1)), 1)


def _search(keys: Keys, count: int, trial_epoch: int, *, trains_weights: bool) -> Planned:
    search = keys.search
    steps = search.epochs * batch_count(count, search.batch_size) if trains_weights else 0
    rungs = _rungs(search) if search.scores == "trained" else []
    stepping = _SEARCH_STEP * steps
    training = search.epochs * trial_cost(search) * trial_epoch if rungs else 0.0
    if training > stepping:  # what takes longer tells best how far the search is
        epochs = sum(rung.count * search.levels()[rung.level]["epochs"] for rung in rungs)
        return Planned("search-trial", round(search.epochs * epochs), stepping + training)
    return Planned("search-step" if steps else "search-epoch", steps, stepping)


def trials_of(search: SearchSettings) -> int:
    """Return the number of trials that the candidates of an epoch take."""
    return sum(rung.count for rung in _rungs(search))


def trial_cost(search: SearchSettings) -> float:
    """Return what training the candidates of an epoch of the search costs, in whole epochs.

    A smaller share of volumes, edge or width counts as much less as it takes fewer operations.
    """
    levels = search.levels()
    return sum(rung.count * _cost(**levels[rung.level]) for rung in _rungs(search))


def _rungs(search: SearchSettings) -> list[Rung]:
    brackets = brackets_of(
        search.candidates,
        search.trial_epochs,
        rungs=search.rungs,
        reduction=search.reduction,
        brackets=search.brackets,
    )
    return [rung for rungs in brackets for rung in rungs]


def _cost(epochs: float, volumes: float, edge: float, width: float) -> float:
    return float(epochs * volumes * edge**3 * width**2)
