"""What the stages are going to do, by the number of volumes."""

from __future__ import annotations

import pytest

from medpipe_core.config.settings import Keys
from medpipe_core.execution.plan import plan, sized, uses_shared_weights


def keys(**more):
    search = {"epochs": 8, "warmup_epochs": 2, "batch_size": 10, "min_steps": 80, **more}
    evaluate = {"epochs": 5, "batch_size": 10, "min_steps": 50, "rungs": 2, "top_k": 4}
    retrain = {"epochs": 20, "batch_size": 10, "min_steps": 400}
    return Keys.model_validate({"search": search, "evaluate": evaluate, "retrain": retrain})


def epochs(found):
    return found.search.epochs, found.evaluate.epochs, found.retrain.epochs


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1000, (8, 5, 20)),  # an epoch of half of them has 50 steps
        (200, (8, 5, 20)),  # just enough: 10 and 20 steps an epoch
        (199, (9, 6, 22)),
        (40, (40, 25, 100)),
        (3, (80, 50, 400)),
    ],
)
def test_few_volumes_are_seen_more_often_until_there_are_enough_steps(count, expected):
    found = sized(keys(), count)
    assert epochs(found) == expected
    assert found.search.warmup_epochs == expected[0] // 4
    told = plan(found, count, trains_weights=True)
    assert told["retrain"].count == expected[2]
    assert told["retrain"].work >= 400
    # A race: 4 for the first epochs, 2 for twice as many.
    assert told["evaluate"].count == (4 + 2 * 2) * expected[1]


def test_rounds_of_scoring_by_trainings_have_no_steps_to_be_enough():
    assert sized(keys(scores="trained"), 40).search.epochs == 8
    assert epochs(sized(Keys(), 40)) == epochs(Keys())


@pytest.mark.parametrize(
    ("search", "event", "count"),
    [
        ({"min_steps": 0, "warmup_epochs": 0}, "search-step", 8 * 50),
        # Steps and trainings: the trainings take longer.
        ({"scores": "trained", "candidates": 6, "trial_epochs": 3}, "search-trial", 8 * 6 * 3),
        (
            {"scores": "trained", "candidates": 4, "trial_epochs": 3, "rungs": 2, "reduction": 2},
            "search-trial",
            8 * (4 * 3 + 2 * 6),
        ),
    ],
)
def test_the_search_is_told_by_what_takes_longest(search, event, count):
    found = plan(keys(**search), 1000, trains_weights=True)["search"]
    assert (found.event, found.count) == (event, count)


def test_weights_that_nobody_begins_with_are_not_trained():
    def uses(**evaluate):
        values = {"search": {"scores": "trained"}, "evaluate": {"inherit": True, **evaluate}}
        return uses_shared_weights(Keys.model_validate(values), ())

    assert uses(top_k=2)
    assert not uses(top_k=1)
