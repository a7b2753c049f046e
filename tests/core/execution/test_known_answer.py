"""Runs whose answer is known from the start: nothing is searched and nothing compared."""

from __future__ import annotations

import json

import pytest

import medpipe_core as mp
from medpipe_core.command.medpipe_run import main
from medpipe_core.record import open_folder

FIXED = {
    "searcher": "fixed",
    "searcher.choices": {"augment/*": "0.1", "augment/*/p": 0.5, "network/*": 2, "*/layer": "skip"},
}


@pytest.fixture
def run(registry, toy_values, tmp_path):
    def start(**more):
        keys = {**toy_values, "run.root": str(tmp_path / "runs"), **more}
        return mp.run(registry=registry, **keys)

    return start


def test_a_given_genotype_is_retrained_and_tested_and_nothing_else(run):
    result = run(**FIXED)
    assert dict(result.genotype.choices)["network/layer"] == "skip"
    events = open_folder(result.folder).events()
    names = [event["event"] for event in events]
    assert not {"search-step", "search-epoch", "evaluate-candidate"} & set(names)
    assert names.count("retrain-epoch") == 2
    plan = next(event for event in events if event["event"] == "plan")
    assert set(plan["stages"]) == {"retrain"}
    (row,) = result.content["candidates"]
    assert row["validation"] == result.content["validation"]
    assert result.test["accuracy"]["value"] >= 0
    assert (result.folder / "report.html").is_file()


def test_a_space_with_nothing_to_choose_needs_no_search(run, registry):
    toy = registry.space("toy", width=2)
    genotype = toy.sample(seed=0)
    network = mp.Operation("block", "toy_conv", {"channels": 2, "stride": 1})
    space = mp.SearchSpace("only", mp.Group({"stem": network}), catalogue=registry)
    assert space.size() == 1
    result = run(space=space, searcher="gumbel")
    assert len(result.genotype) == 0
    assert genotype.space == "toy"
    assert "search-step" not in {e["event"] for e in open_folder(result.folder).events()}


def test_the_only_candidate_of_a_search_is_compared_with_nothing(run):
    result = run(**{"searcher": "random", "evaluate.top_k": 1})
    events = open_folder(result.folder).events()
    names = [event["event"] for event in events]
    assert "search-epoch" in names
    assert not {"evaluate-candidate", "evaluate-epoch"} & set(names)
    plan = next(event for event in events if event["event"] == "plan")
    assert plan["stages"]["evaluate"]["work"] == 0
    (row,) = result.content["candidates"]
    assert row["validation"] == result.content["validation"]


def test_the_same_genotype_trains_to_the_same_weights_as_after_a_search(run):
    searched = run(**{"retrain.inherit": False, "evaluate.inherit": False})
    path = str(searched.folder / "genotype.json")
    fixed = run(**{"searcher": "fixed", "searcher.genotype": path, "retrain.inherit": False})
    assert fixed.genotype == searched.genotype
    assert fixed.content["test"] == searched.content["test"]


def test_what_is_left_open_is_told_on_the_command_line(toy_words, capsys, tmp_path):
    words = [w for w in toy_words if not w.startswith("searcher")]
    assert main([*words, "searcher=fixed"]) == 2
    assert "give searcher.genotype=FILE" in capsys.readouterr().err
    assert main([*words, "searcher=fixed", "searcher.choices={network/layer: skip}"]) == 2
    assert "are left open" in capsys.readouterr().err
    assert main([*words, "searcher=fixed", "searcher.genotype=nowhere.json"]) == 2
    assert "nowhere.json cannot be read" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*"))


def test_a_run_from_a_file_says_the_same_as_the_words(toy_words, tmp_path):
    words = [w for w in toy_words if not w.startswith("searcher")]
    choices = json.dumps(FIXED["searcher.choices"])
    assert main([*words, "searcher=fixed", f"searcher.choices={choices}"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert main([f"--config={folder}", "--trust-plugins", f"run.root={tmp_path / 'again'}"]) == 0
    (again,) = (tmp_path / "again").iterdir()
    one, two = (json.loads((f / "genotype.json").read_text()) for f in (folder, again))
    assert one == two
