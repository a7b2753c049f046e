"""Baselines as single commands: a registered model with a searched, a fixed, or no policy."""

from __future__ import annotations

import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.record import open_folder

TINY = {
    "space": "medpipe-policy", "space.model": "resnet18-3d", "space.model_parameters": {"width": 3},
    "dataset": "phantom3d", "dataset.train": 24, "threads": 1, "search.epochs": 1,
    "search.candidates": 1, "evaluate.top_k": 1, "evaluate.epochs": 1, "retrain.epochs": 1,
    "test.resamples": 20,
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return lambda **keys: mp.run(**{**TINY, "run.root": str(tmp_path), **keys})


@pytest.mark.slow
def test_a_bare_model_is_trained_and_tested_without_a_search(run):
    result = run(**{"space.augmented": False})
    assert len(result.genotype) == 0
    assert not any(
        event["event"] in ("search-step", "evaluate-candidate")
        for event in open_folder(result.folder).events()
    )
    assert "resnet18-3d" in (result.folder / "policy.txt").read_text()


@pytest.mark.slow
def test_a_policy_is_searched_for_a_model(run):
    result = run()
    assert all(path.startswith("augment/") for path in result.genotype.choices)
    assert "search-step" in {event["event"] for event in open_folder(result.folder).events()}


@pytest.mark.slow
def test_a_policy_is_fixed_for_a_model(run):
    choices = {"augment/*": 0, "augment/*/p": 0, "augment/*_flip/p": 0.3}
    augment = {"probabilities": (0.0, 0.3), "grids": "mild"}  # as `quick` has them
    space = mp.load_plugins().space("medpipe-policy", augment=augment)
    for path, choice in space.choices.items():
        if not path.endswith("/p"):
            choices[path] = choice.values[0]
    result = run(
        searcher="fixed",
        **{"searcher.choices": choices, "space.augment.probabilities": [0.0, 0.3]},
    )
    assert result.genotype["augment/v_flip/p"] == "0.3"
    assert result.genotype["augment/noise/p"] == "0"


def test_a_wrong_parameter_of_the_model_is_told_before_there_is_a_folder(run, tmp_path):
    with pytest.raises(ConfigurationError, match=r"takes no parameter 'widht'.*width"):
        run(**{"space.model_parameters": {"widht": 3}})
    assert not list(tmp_path.iterdir())
