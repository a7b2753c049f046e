"""What a candidate of the search is scored by: shared weights, or a training of its own."""

from __future__ import annotations

import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.record import open_folder


@pytest.fixture
def toy(registry, tmp_path):
    keys = {
        "space": "toy", "dataset": "toy", "registry": registry, "searcher": "random",
        "search.scores": "trained", "search.trial_epochs": 2, "search.epochs": 2,
        "search.candidates": 3, "search.batch_size": 4, "evaluate.batch_size": 4,
        "evaluate.inherit": False, "evaluate.top_k": 1, "evaluate.epochs": 1,
        "retrain.batch_size": 4, "retrain.epochs": 1, "test.resamples": 20,
    }  # fmt: skip

    def run(name="runs", **more):
        result = mp.run(**{**keys, "run.root": str(tmp_path / name), **more})
        return open_folder(result.folder).events()

    return run


def of(events, name):
    return [event for event in events if event["event"] == name]


def scores(events):
    return {e["genotype"]: e["figures"] for e in of(events, "search-epoch") if "figures" in e}


def plan(events):
    return of(events, "plan")[0]["stages"]["search"]


def test_epochs_are_rounds_of_scoring_where_nobody_uses_shared_weights(toy):
    events = toy()
    assert not of(events, "search-step")
    assert [event["epoch"] for event in of(events, "search-epoch")] == [1, 1, 1, 2, 2, 2]
    # Three batches of four in half of 24 volumes, for two epochs each.
    assert plan(events) == {"event": "search-trial", "count": 12, "work": 6.0 * 2 * 3}
    assert len(of(events, "search-trial")) == 12


@pytest.mark.parametrize(
    "user",
    [
        {"searcher": "gumbel"},
        {"evaluate.inherit": True, "evaluate.top_k": 2},
        {"retrain.inherit": True},
    ],
)
def test_steps_train_shared_weights_where_somebody_uses_them(toy, user):
    events = toy(**user)
    assert len(of(events, "search-step")) == 6
    assert plan(events)["event"] == "search-trial"  # what takes longer
    assert plan(events)["work"] == 6 * 3.0 + 6 * 2 * 3


def test_scores_by_shared_weights_are_the_default(toy, registry):
    assert resolve({"space": "toy", "dataset": "toy"}, registry).keys.search.scores == "shared"
    events = toy(**{"search.scores": "shared"})
    assert len(of(events, "search-step")) == 6
    assert plan(events) == {"event": "search-step", "count": 6, "work": 18.0}


def test_a_score_is_a_function_of_the_genotype_alone(toy):
    few = scores(toy("few"))
    many = scores(toy("many", **{"search.epochs": 1, "search.candidates": 6}))
    assert few == many
    assert len(few) == 6


def test_a_training_tells_augmentations_apart_and_shared_weights_do_not(toy):
    every = {"search.epochs": 1, "search.candidates": 12, "space.shifts": [30.0]}
    for by, expected in (("trained", True), ("shared", False)):
        events = toy(by, **every, **{"search.scores": by})
        networks: dict = {}
        for event in of(events, "search-epoch"):
            network = {k: v for k, v in event["choices"].items() if k.startswith("network/")}
            networks.setdefault(tuple(network.items()), []).append(event["figures"])
        pairs = [figures for figures in networks.values() if len(figures) == 2]
        assert len(pairs) == 6
        assert any(one != other for one, other in pairs) == expected


def test_a_search_may_decide_how_its_networks_are_trained(toy, registry):
    rates = mp.ValueChoice(1e-3, 1e-12)
    network = registry.space("toy", width=3)
    space = mp.compose(
        "mine",
        network=network.fix(dict(network.sample(seed=0).choices)),
        training=mp.SearchSpace("training", mp.Group({"lr": rates})),
    )
    rows = of(toy(space=space, **{"search.candidates": 6}), "search-epoch")
    scored = {row["choices"]["training/lr"]: row["figures"] for row in rows if "choices" in row}
    assert set(scored) == set(rates.keys)
    assert scored[rates.keys[0]] != scored[rates.keys[1]]


@pytest.mark.parametrize("searcher", ["evolution", "optuna", "decoupled"])
def test_every_searcher_can_be_scored_by_training(toy, searcher):
    if searcher == "optuna":
        pytest.importorskip("optuna")
    own = {"searcher.model": "toy-net"} if searcher == "decoupled" else {}
    events = toy(searcher=searcher, **own)
    steps = 6 if searcher == "decoupled" else 0
    assert len(of(events, "search-step")) == steps
    assert all(e["figures"]["score"] > 0 for e in of(events, "search-epoch") if "figures" in e)


def test_a_trial_without_an_epoch_is_refused(registry):
    with pytest.raises(ConfigurationError, match=r"search\.trial_epochs"):
        resolve({"space": "toy", "dataset": "toy", "search.trial_epochs": 0}, registry)


def test_trials_are_told_as_candidates_and_not_epoch_by_epoch(toy):
    names = {event["event"] for event in toy()}
    assert "trial-epoch" not in names
