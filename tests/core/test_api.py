"""Runs from Python: the real stages on a toy."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.config.presets import PRESETS
from medpipe_core.record import open_folder
from medpipe_core.report.summary import summary_text
from medpipe_core.search import RandomSearcher
from medpipe_core.supernet import build_network


@pytest.fixture
def toy(registry, tmp_path):
    keys = {
        "space": "toy", "dataset": "toy", "registry": registry, "search__epochs": 2,
        "search__batch_size": 4, "evaluate__batch_size": 4, "evaluate__epochs": 2,
        "retrain__batch_size": 4, "retrain__epochs": 2, "test__resamples": 20,
    }  # fmt: skip

    def run(name="runs", **more):
        return mp.run(**{**keys, "run__root": str(tmp_path / name), **more})

    return run


def test_a_run_gives_back_what_is_on_the_disk(toy):
    result = toy(searcher="random", seed=3)
    assert json.loads((result.folder / "result.json").read_text()) == result.content
    assert result.content["seed"] == 3
    assert set(result.test["accuracy"]) == {"value", "low", "high"}
    text = (result.folder / "genotype.json").read_text()
    assert mp.Genotype.from_json(text) == result.genotype


def test_a_run_is_quiet_unless_progress_is_asked_for(toy, capsys):
    short = {"searcher": "random", "search__epochs": 1, "retrain__epochs": 1}
    toy(**short)
    assert capsys.readouterr().out == ""
    toy(**short, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reading data"
    assert any(line.startswith("searching: epoch 1") for line in lines)
    seen = []
    toy(
        searcher="random",
        search__epochs=1,
        retrain__epochs=1,
        progress=lambda e, /, **_: seen.append(e),
    )
    assert seen[0] == "data-reading"
    assert seen[-1] == "run-finished"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("searcher", ["random", "gumbel"])
def test_the_same_seed_gives_the_same_run(toy, searcher):
    one, other = (toy(name, searcher=searcher) for name in ("one", "other"))
    assert one.folder != other.folder
    assert {**one.content, "seconds": 0} == {**other.content, "seconds": 0}
    weights = [load_file(r.folder / "weights.safetensors") for r in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_exported_weights_are_those_of_the_chosen_network(toy, registry):
    result = toy(searcher="random")
    network = build_network(
        registry.space("toy", width=3), result.genotype, in_channels=1, num_classes=2
    )
    network.load_state_dict(load_file(result.folder / "weights.safetensors"))


def test_how_far_the_known_answer_is_stands_in_result_journal_and_closing_text(toy, registry):
    result = toy(searcher="random", dataset="toy-known", search__candidates=2)
    short = 0.0 if result.genotype["network/layer"] == "conv" else 0.5
    assert result.content["regret"] == short
    told = [e for e in open_folder(result.folder).events() if e["event"] == "search-best"]
    assert [event["regret"] for event in told] == [
        0.0 if event["choices"]["network/layer"] == "conv" else 0.5 for event in told
    ]
    assert len(told) == 2
    assert "best answer is known" in summary_text(result, registry.space("toy", width=3))
    assert all(
        {"score", "accuracy"} <= row["search"].keys() for row in result.content["candidates"]
    )


def test_the_test_set_is_opened_after_everything_is_chosen(toy):
    events = open_folder(toy(searcher="random").folder).events()
    names = [event["event"] for event in events]
    assert names.count("test-opened") == 1
    after = names[names.index("test-opened") :]
    assert after == ["test-opened", "stage-finished", "run-finished"]


def test_candidates_are_ranked_by_validation_figures(toy):
    rows = toy(searcher="random", evaluate__top_k=3).content["candidates"]
    scores = [row["validation"]["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_dotted_keys_may_be_given_as_they_are(toy):
    result = toy(searcher="random", **{"space.width": 5})
    configuration = open_folder(result.folder).configuration()
    assert configuration["space.width"] == 5


def test_inherited_weights_are_compared_without_training(toy):
    content = toy(searcher="random", evaluate__epochs=0, evaluate__inherit=True).content
    assert content["candidates"][0]["failed"] == ""


def test_a_space_composed_in_python_runs_as_it_is(toy, registry):
    toy_space = registry.space("toy", width=3)
    parts = toy_space.root.children
    space = mp.SearchSpace("mine", mp.Group({"network": parts["network"]}), catalogue=registry)
    result = toy(space=space, searcher="random")
    assert result.content["space"] == "mine"
    assert all(path.startswith("network/") for path in result.genotype)


def test_a_dataset_made_in_python_runs_as_it_is(toy, registry):
    class Mine(type(registry.create("dataset", "toy"))):
        card = dataclasses.replace(registry.create("dataset", "toy").card, name="mine")

    result = toy(dataset=Mine(count=16), searcher="random")
    assert result.content["dataset"] == "mine"
    assert result.content["data"]["train"]["count"] == 16
    result = toy("class", dataset=Mine, dataset__count=20, searcher="random")
    assert result.content["dataset"] == "Mine"
    assert result.content["data"]["train"]["count"] == 20


def test_a_searcher_class_runs_with_settings_of_its_signature(toy):
    seen = []

    class Mine(RandomSearcher):
        def __init__(self, space, *, width: int = 8, **given):
            super().__init__(space, **given)
            seen.append(width)

    result = toy(searcher=Mine, searcher__width=3)
    assert result.content["searcher"] == "Mine"
    assert set(seen) == {3}
    with pytest.raises(ConfigurationError, match=r"searcher\.width"):
        toy(searcher=Mine, searcher__width="wide")


def test_keys_may_be_nested_and_leave_the_rest_of_a_preset_as_it_is(toy):
    result = toy(searcher="random", search={"candidates": 2}, **{"search.epochs": 1})
    configuration = open_folder(result.folder).configuration()
    assert configuration["search.candidates"] == 2
    assert configuration["search.weights_lr"] == PRESETS["quick"]["search.weights_lr"]


@pytest.mark.parametrize("name", ["toy", "phantom3d"])
def test_a_dataset_made_in_python_may_not_take_a_registered_name(toy, registry, name):
    class Mine(type(registry.create("dataset", "toy"))):
        card = dataclasses.replace(registry.create("dataset", "toy").card, name=name)

    with pytest.raises(mp.MedpipeError, match=f"registers dataset '{name}', which"):
        toy(dataset=Mine())


def with_training(registry, **choices):
    training = mp.SearchSpace("training", mp.Group(choices))
    return mp.compose("mine", network=registry.space("toy", width=3), training=training)


def test_a_space_may_decide_how_its_networks_are_trained(toy, registry):
    space = with_training(registry, lr=mp.ValueChoice(2e-4), weight_decay=mp.ValueChoice(0.1))
    result = toy(space=space, searcher="random", retrain__epochs=1)
    epochs = [e for e in open_folder(result.folder).events() if e["event"] == "retrain-epoch"]
    assert epochs[0]["lr"] <= 2e-4
    text = (result.folder / "policy.txt").read_text()
    assert "training/lr" in text
    assert "0.0002" in text


def test_a_training_decides_only_what_is_a_setting_of_one(toy, registry):
    space = with_training(registry, lr=mp.ValueChoice(-1.0), weigth_decay=mp.ValueChoice(0.1))
    with pytest.raises(ConfigurationError) as caught:
        toy(space=space)
    assert "training/lr=-1.0: Input should be greater than 0" in str(caught.value)
    assert "no setting 'weigth_decay'. Did you mean 'weight_decay'" in str(caught.value)


def test_a_composed_space_may_not_take_a_registered_name(toy, registry):
    space = registry.space("toy", width=3)
    with pytest.raises(mp.MedpipeError, match="registers space 'toy', which"):
        toy(space=space)


def test_wrong_keys_are_refused_in_python_too(toy):
    with pytest.raises(ConfigurationError, match=r"search\.epohcs"):
        toy(search__epohcs=3)


def test_a_device_that_is_not_there_is_refused(toy):
    with pytest.raises(ConfigurationError, match="device=cuda:77"):
        toy(device="cuda:77")


def test_a_run_goes_by_its_function_after_its_room_was_imported(toy):
    import medpipe_core.execution  # noqa: F401

    assert callable(mp.run)


def test_a_magnitude_that_a_plugin_does_not_declare_is_refused_before_anything_is_written(tmp_path):
    class Gamma(mp.Augmentation):
        low = mp.ValueChoice(0.5, 0.7, gt=0)

    registry = mp.load_plugins().adding("augmentation", "acme-gamma", Gamma)
    keys = {"space.extra": ["acme-gamma"], "run.root": str(tmp_path / "runs")}
    for magnitudes, told in (
        ({"lwo": [0.4]}, "declares no searchable parameter 'lwo'. Did you mean 'low'"),
        ({"low": [0.4, -1]}, r"acme-gamma', low: each value must be a number > 0, but got -1"),
    ):
        given = {**keys, "space.magnitudes": {"acme-gamma": magnitudes}}
        with pytest.raises(ConfigurationError) as caught:
            mp.run(space="medpipe-augment", registry=registry, **given)
        assert told in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def decoupled(toy):
    def run(name="runs", **more):
        given = {"searcher__model": "toy-net", "search__epochs": 3, **more}
        return toy(name, searcher="decoupled", **given)

    return run


def test_a_decoupled_run_scores_networks_of_its_second_stage_only(decoupled):
    events = open_folder(decoupled(**{"searcher.first_share": 0.7}).folder).events()
    steps = [event for event in events if event["event"] == "search-step"]
    networks = [event.get("network") for event in steps]
    switch = round(0.7 * len(steps))
    assert networks == ["toy-net"] * switch + [None] * (len(steps) - switch)
    scored = [e for e in events if e["event"] == "search-epoch" and "genotype" in e]
    assert {event["epoch"] for event in scored} == {3}
    kept = {event["choices"]["augment/shift/p"] for event in scored}
    assert len(kept) == 1


def test_the_same_seed_gives_the_same_decoupled_run(decoupled):
    one, other = (decoupled(name, **{"searcher.model_parameters": {"width": 3}}) for name in "ab")
    assert {**one.content, "seconds": 0} == {**other.content, "seconds": 0}


def test_a_decoupled_search_that_cannot_go_in_stages_is_a_wrong_configuration(decoupled):
    with pytest.raises(ConfigurationError, match=r"searcher=decoupled: .* augment, network") as no:
        decoupled(**{"searcher.first": "augmentation"})
    assert no.value.exit_code == 2
