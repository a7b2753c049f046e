"""A budget in what people have, hours, trials or steps, as epochs of the search."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.execution.plan import batch_count, plan, rounds_of_evaluation, trials_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.config.settings import Keys
    from medpipe_core.execution.pace import Pace
    from medpipe_core.search.settings import SearchSettings

_HOUR = 3600.0
# What comes after the search cannot be cut short, so a little more is kept for it.
_RESERVE = 1.1


@dataclass(frozen=True)
class BudgetPlan:
    """What a run with a budget is going to do; its seconds are estimates.

    Attributes:
        unit: `"hours"`, `"trials"` or `"steps"`.
        asked: How many of them there are.
        epochs: Epochs of the search.
        candidates: Candidates of an epoch; fewer than asked for where one epoch was too much.
        epoch_seconds: An epoch of the search; 0 where nothing was timed, as all that follow.
        evaluate_seconds: The evaluation of candidates.
        retrain_seconds: The retraining.
        spent_seconds: What finding this out took.
    """

    unit: Literal["hours", "trials", "steps"]
    asked: float
    epochs: int
    candidates: int
    epoch_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    retrain_seconds: float = 0.0
    spent_seconds: float = 0.0

    @property
    def later_seconds(self) -> float:
        """What comes after the search."""
        return _RESERVE * (self.evaluate_seconds + self.retrain_seconds)

    def settled(self, settings: SearchSettings) -> SearchSettings:
        """Return the settings of the search with its epochs and candidates."""
        warmup = min(settings.warmup_epochs, self.epochs - 1)
        planned = {
            "epochs": self.epochs,
            "candidates": self.candidates,
            "warmup_epochs": warmup,
        }
        return settings.model_copy(update=planned)

    def allows(self, epochs: int, seconds: float) -> bool:
        """Say whether another epoch may begin after so many that took so long.

        The next one is reckoned to take as long as those so far, and what comes after the search to
        be slower than planned by as much as they were.
        """
        if self.unit != "hours" or not epochs:
            return True
        each = seconds / epochs
        slower = max(each / self.epoch_seconds, 1.0) if self.epoch_seconds else 1.0
        left = self.asked * _HOUR - self.spent_seconds - seconds
        return each + slower * self.later_seconds <= left

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> BudgetPlan:
        """Read what `to_plain` gave."""
        return cls(**data)


def wanted(settings: SearchSettings) -> Literal["hours", "trials", "steps"] | None:
    """Return what a budget is given in, or None where epochs are."""
    for unit in ("hours", "trials", "steps"):
        if getattr(settings, unit) is not None:
            return unit
    return None


def planned(
    keys: Keys,
    count: int,
    *,
    trains_weights: bool,
    pace: Pace | None = None,
    workers: int = 1,
    spent: float = 0.0,
) -> BudgetPlan:
    """Plan a run that has a budget.

    Args:
        keys: The keys of the run.
        count: Training volumes.
        trains_weights: Whether steps of the search train shared weights.
        pace: How fast it is here; needed for hours.
        workers: Trials that run at once.
        spent: Seconds that measuring the pace took.
    """
    search, unit = keys.search, wanted(keys.search)
    assert unit is not None  # noqa: S101  (whoever asks has asked that)
    asked = getattr(search, unit)
    fixed = BudgetPlan(unit, asked, 1, search.candidates, spent_seconds=spent)
    if unit == "steps":
        an_epoch = batch_count(count // 2, search.batch_size)
        return replace(fixed, epochs=max(asked // an_epoch, 1))
    if unit == "trials":
        return _of_trials(fixed, search)
    assert pace is not None  # noqa: S101
    return _of_hours(fixed, keys, count, pace, trains_weights=trains_weights, workers=workers)


def _of_trials(plan: BudgetPlan, search: SearchSettings) -> BudgetPlan:
    candidates = _most(search, lambda count: _trials(search, count) <= plan.asked)
    epochs = max(int(plan.asked) // _trials(search, candidates), 1)
    return replace(plan, epochs=epochs, candidates=candidates)


def _most(search: SearchSettings, fits: Callable[[int], bool]) -> int:
    """Return as many candidates as fit into one epoch, of those asked for; some at least."""
    low, high = 2 if search.rungs > 1 else 1, search.candidates
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _trials(search: SearchSettings, candidates: int) -> int:
    return trials_of(search.model_copy(update={"candidates": candidates}))


def _of_hours(
    plan: BudgetPlan, keys: Keys, count: int, pace: Pace, *, trains_weights: bool, workers: int
) -> BudgetPlan:
    evaluate, retrain = _later(keys, count, pace)
    plan = replace(plan, evaluate_seconds=evaluate, retrain_seconds=retrain)
    left = plan.asked * _HOUR - plan.spent_seconds - plan.later_seconds

    def an_epoch(candidates: int) -> float:
        return _epoch(keys, count, pace, candidates, trains_weights, workers)

    candidates = keys.search.candidates
    if keys.search.scores == "trained":
        candidates = _most(keys.search, lambda count: an_epoch(count) <= left)
    seconds = an_epoch(candidates)
    epochs = max(math.floor(left / seconds), 1) if seconds > 0 else 1
    return replace(plan, epochs=epochs, candidates=candidates, epoch_seconds=seconds)


def _epoch(
    keys: Keys, count: int, pace: Pace, candidates: int, trains_weights: bool, workers: int
) -> float:
    one = keys.search.model_copy(update={"epochs": 1, "candidates": candidates})
    only = keys.model_copy(update={"search": one})
    steps = plan(only, count, trains_weights=trains_weights)["search"].work
    if one.scores == "shared":
        return steps * pace.step + candidates * pace.look
    training = plan(only, count, trains_weights=False)["search"].work
    trained = training * pace.step + trials_of(one) * (pace.start + pace.look)
    return (steps - training) * pace.step + trained / workers


def _later(keys: Keys, count: int, pace: Pace) -> tuple[float, float]:
    """Return the seconds of evaluation and retraining."""
    stages = plan(keys, count, trains_weights=False)
    rungs = rounds_of_evaluation(keys)
    trials = sum(rung.count for rung in rungs)
    every = keys.evaluate.validate_every
    looks = sum(rung.count * _looks(rung.epochs, every) for rung in rungs)
    members = keys.retrain.members
    again = members * _looks(keys.retrain.epochs, keys.retrain.validate_every)
    return (
        stages["evaluate"].work * pace.step + looks * pace.look + trials * pace.start,
        stages["retrain"].work * pace.step + again * pace.look + members * pace.start,
    )


def _looks(epochs: int, every: int) -> int:
    return math.ceil(epochs / every)
