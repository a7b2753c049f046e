"""What the stages of a run are going to do, for the estimate of the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.execution.race import rungs_of
from medpipe_core.execution.results import Planned

if TYPE_CHECKING:
    from medpipe_core.config.settings import Keys

# A step of the search trains a path and shows it a validation batch; measured beside training.
_SEARCH_STEP = 3.0


def plan(keys: Keys, count: int, *, trains_weights: bool) -> dict[str, Planned]:
    """Return what each stage is going to do.

    Args:
        keys: The keys of the run.
        count: Training volumes.
        trains_weights: Whether steps of the search train shared weights.
    """
    trial_epoch = batch_count(count // 2, keys.evaluate.batch_size)
    evaluate = keys.evaluate
    rungs = rungs_of(
        evaluate.top_k, evaluate.epochs, rungs=evaluate.rungs, reduction=evaluate.reduction
    )
    trials = sum(rung.count * rung.epochs for rung in rungs)
    training = keys.retrain.epochs * batch_count(count, keys.retrain.batch_size)
    return {
        "search": _search(keys, count // 2, trial_epoch, trains_weights=trains_weights),
        "evaluate": Planned("evaluate-epoch", trials, trials * trial_epoch),
        "retrain": Planned("retrain-epoch", keys.retrain.epochs, training),
    }


def batch_count(count: int, size: int) -> int:
    """Return the number of batches in an epoch over `count` volumes."""
    return max(count // min(size, max(count, 1)), 1)


def _search(keys: Keys, count: int, trial_epoch: int, *, trains_weights: bool) -> Planned:
    search = keys.search
    steps = search.epochs * batch_count(count, search.batch_size) if trains_weights else 0
    trials = search.epochs * search.candidates if search.scores == "trained" else 0
    work = _SEARCH_STEP * steps + trials * search.trial_epochs * trial_epoch
    return Planned("search-step" if steps else "search-epoch", steps or trials, work)
