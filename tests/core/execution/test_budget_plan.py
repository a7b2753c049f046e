"""A budget in hours, trials or steps becomes epochs, and is kept to."""

from __future__ import annotations

import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.execution import search_stage
from medpipe_core.execution.budget_plan import BudgetPlan, planned
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.local_executor import LocalExecutor
from medpipe_core.execution.pace import Pace, measured_pace
from medpipe_core.execution.plan import plan
from medpipe_core.execution.remembering_executor import RememberingExecutor
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.search_stage import SearchStage
from medpipe_core.record import open_folder
from medpipe_core.report.progress import line_of
from medpipe_core.report.reproduction import searched_as

COUNT = 240


@pytest.fixture
def keys(registry):
    def make(**more):
        given = {
            "space": "toy", "dataset": "toy", "search.batch_size": 10, "search.candidates": 4,
            "evaluate.batch_size": 10, "evaluate.epochs": 5, "evaluate.top_k": 2,
            "evaluate.validate_every": 5, "retrain.batch_size": 10, "retrain.epochs": 20,
            "retrain.validate_every": 20, "evaluate.inherit": False, **more,
        }  # fmt: skip
        return resolve(given, registry).keys

    return make


TRAINED = {"search.scores": "trained", "search.trial_epochs": 5}


def test_hours_are_what_search_evaluation_and_retraining_take_together(keys):
    found = planned(
        keys(**{"search.hours": 1.0}, **TRAINED), COUNT, trains_weights=False, pace=Pace(0.5, 3.0)
    )
    # Half of the set is 12 batches: a trial of 5 epochs takes 60 steps of half a second and a look.
    assert found.epoch_seconds == 4 * (60 * 0.5 + 3)
    assert found.evaluate_seconds == 2 * (60 * 0.5 + 3)
    assert found.retrain_seconds == 20 * 24 * 0.5 + 3
    left = 3600 - 1.1 * (found.evaluate_seconds + found.retrain_seconds)
    assert found.epochs == left // found.epoch_seconds == 24
    assert found.candidates == 4


def test_workers_run_as_many_trials_at_once(keys):
    given = keys(**{"search.hours": 1.0}, **TRAINED)
    paces = [
        planned(given, COUNT, trains_weights=False, pace=Pace(0.5, 3.0), workers=n) for n in (1, 2)
    ]
    assert paces[1].epoch_seconds == paces[0].epoch_seconds / 2


def test_steps_of_shared_weights_count_as_they_are_planned(keys):
    given = keys(**{"search.hours": 0.5})
    found = planned(given, COUNT, trains_weights=True, pace=Pace(0.1, 1.0))
    assert found.epoch_seconds == pytest.approx(12 * 3 * 0.1 + 4 * 1.0)
    settled = given.model_copy(update={"search": found.settled(given.search)})
    assert plan(settled, COUNT, trains_weights=True)["search"].count == 12 * found.epochs


def test_where_one_epoch_is_too_much_it_has_fewer_candidates_and_there_is_one_at_least(keys):
    # 62 s to compare and 241 to retrain, with a reserve, leave 99 s: three trials of 31.
    given = keys(**{"search.hours": 0.12}, **TRAINED)
    few = planned(given, COUNT, trains_weights=False, pace=Pace(0.5, 1.0))
    assert (few.epochs, few.candidates) == (1, 3)
    none = planned(given, COUNT, trains_weights=False, pace=Pace(30.0, 1.0))
    assert (none.epochs, none.candidates) == (1, 1)
    race = keys(**{"search.hours": 0.1, "search.rungs": 2}, **TRAINED)
    raced = planned(race, COUNT, trains_weights=False, pace=Pace(30.0, 1.0))
    assert raced.candidates == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"search.trials": 40}, (10, 4)),
        ({"search.trials": 3}, (1, 3)),
        ({"search.trials": 1}, (1, 1)),
        # Six begin and two go on: eight trials an epoch.
        ({"search.trials": 40, "search.rungs": 2, "search.candidates": 6}, (5, 6)),
        ({"search.steps": 100}, (8, 4)),
        ({"search.steps": 1}, (1, 4)),
    ],
)
def test_trials_and_steps_are_counted(keys, more, expected):
    given = keys(**{**TRAINED, **more})
    found = planned(given, COUNT, trains_weights=True)
    assert (found.epochs, found.candidates) == expected


def spent(budget, an_epoch, later):
    """Return epochs and seconds of a run whose epochs and later stages take so long."""
    epochs, seconds = 0, 0.0
    while epochs < budget.epochs and budget.allows(epochs, seconds):
        epochs, seconds = epochs + 1, seconds + an_epoch
    return epochs, budget.spent_seconds + seconds + later


@pytest.mark.parametrize("slower", [0.5, 1.0, 1.3, 2.0, 5.0])
def test_a_machine_that_is_slower_than_measured_ends_earlier_and_in_time(slower):
    budget = BudgetPlan("hours", 1.0, 20, 4, 150.0, 100.0, 300.0, spent_seconds=20.0)
    epochs, seconds = spent(budget, slower * 150, slower * 400)
    assert seconds <= 3600
    assert epochs == 20 if slower <= 1 else epochs < 20
    if slower > 1:  # and does not end earlier than it has to
        assert seconds + slower * 150 + slower * 0.1 * 400 > 3600 - 1e-6


def test_one_epoch_is_always_searched_and_other_budgets_do_not_look_at_the_clock():
    assert BudgetPlan("hours", 0.01, 1, 4, 150.0, 100.0, 300.0).allows(0, 0.0)
    assert not BudgetPlan("hours", 0.01, 9, 4, 150.0, 100.0, 300.0).allows(1, 150.0)
    assert BudgetPlan("trials", 40, 9, 4).allows(5, 1e9)


class Clock:
    """Takes a second each time it is asked."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_the_pace_is_measured_by_the_clock(context, development):
    pace = measured_pace(context, development, Clock())
    half = len(development.train) // 2
    unseen = len(development.train) - half + len(development.validation)
    assert pace == Pace(1.0, unseen / min(unseen, 64), 1.0)


@pytest.fixture
def run(registry, toy_values, tmp_path, monkeypatch):
    def start(name="runs", pace=None, **more):
        if pace is not None:
            monkeypatch.setattr(search_stage, "measured_pace", lambda *_: pace)
        values = {
            **toy_values, "evaluate.inherit": False, "evaluate.top_k": 1, "evaluate.epochs": 1,
            "search.scores": "trained", "search.trial_epochs": 1, "search.candidates": 2, **more,
        }  # fmt: skip
        result = mp.run(registry=registry, **{**values, "run.root": str(tmp_path / name)})
        return result, open_folder(result.folder).events()

    return start


def of(events, name):
    return [event for event in events if event["event"] == name]


def test_a_run_says_what_it_plans_does_it_and_can_be_made_again(run):
    # A trial takes three steps and a look: three epochs of two trials fit beside the rest.
    result, events = run(pace=Pace(10.0, 20.0), **{"search.hours": (3 * 100 + 260) / 3600})
    (told,) = of(events, "budget")
    assert (told["epochs"], told["candidates"], told["epoch_seconds"]) == (3, 2, 100.0)
    assert [e["epoch"] for e in of(events, "search-epoch")] == [1, 1, 2, 2, 3, 3]
    assert not of(events, "search-ended")
    assert "is 3 epochs of the search with 2 candidates each, about 2 min an epoch" in line_of(
        "budget", told
    )
    again, later = run("again", **searched_as(events))
    assert not of(later, "budget")
    assert again.genotype == result.genotype
    assert again.content["validation"] == result.content["validation"]


def test_a_search_that_ended_early_is_made_again_as_far_as_it_got(run, monkeypatch):
    monkeypatch.setattr(BudgetPlan, "allows", lambda _, epochs, seconds: epochs < 2)
    result, events = run(**{"search.trials": 10})
    assert of(events, "search-ended")[0]["epoch"] == 2
    assert "ends after 2 of 5 epochs" in line_of("search-ended", of(events, "search-ended")[0])
    monkeypatch.undo()
    keys = searched_as(events)
    assert keys["search.stop_after"] == 2
    again, later = run("again", **keys)
    assert [e["epoch"] for e in of(later, "search-epoch")] == [1, 1, 2, 2]
    assert again.content["genotype"] == result.content["genotype"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"search.hours": 1, "search.steps": 9}, "hours and steps are each a budget"),
        ({"search.trials": 9, "search.scores": "shared"}, "give scores=trained, or hours or steps"),
        ({"search.hours": 0}, r"search\.hours"),
    ],
)
def test_a_budget_that_is_none_is_refused(keys, more, said):
    with pytest.raises(ConfigurationError, match=said):
        keys(**more)


def test_steps_of_weights_that_nobody_uses_are_no_budget(run):
    with pytest.raises(ConfigurationError, match=r"search\.steps=9 counts steps that train shared"):
        run(**{"search.steps": 9})


def test_a_run_that_goes_on_keeps_its_plan_and_measures_nothing(
    registry, toy_values, development, monkeypatch
):
    given = resolve({**toy_values, **TRAINED, "search.hours": 1.0}, registry)
    context = RunContext.of(given, registry, make_dataset(given, registry).card)
    monkeypatch.setattr(search_stage, "measured_pace", lambda *_: Pace(1.0, 2.0))
    memory = RunMemory()
    first = SearchStage(context, RememberingExecutor(LocalExecutor(context), memory))
    told = first.budget(development)
    monkeypatch.setattr(search_stage, "measured_pace", lambda *_: pytest.fail("measured again"))
    again = RememberingExecutor(LocalExecutor(context), RunMemory(memory.state_dict()))
    second = SearchStage(context, again)
    assert second.budget(development) == told
    assert second.settings(development).epochs == told.epochs > 1
