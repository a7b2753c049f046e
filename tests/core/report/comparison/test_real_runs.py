"""What runs write is what a comparison reads."""

from __future__ import annotations

import json

import pytest

import medpipe_core as mp
from medpipe_core.report.comparison import compare, comparison_text


@pytest.fixture
def root(registry, tmp_path):
    for searcher in ("gumbel", "random"):
        for seed in (0, 1):
            mp.run(
                space="toy", searcher=searcher, dataset="toy-known", registry=registry, seed=seed,
                search__epochs=2, search__warmup_epochs=0, search__warmup="sampled",
                search__candidates=3, search__batch_size=4, evaluate__top_k=3, evaluate__epochs=1,
                evaluate__batch_size=4, retrain__batch_size=4,
                retrain__epochs=2, test__resamples=20, run__root=str(tmp_path),
            )  # fmt: skip
    return tmp_path


@pytest.mark.slow
def test_runs_are_compared_from_what_they_wrote(root):
    content = compare([root])
    (problem,) = content["datasets"]
    assert content["left_out"] == []
    assert [(g["label"], g["seeds"]) for g in problem["groups"]] == [
        ("gumbel", [0, 1]), ("random", [0, 1]),
    ]  # fmt: skip
    for group in problem["groups"]:
        # Of 24 volumes a half of 12 makes 3 batches of 4; all 24 make 6.
        assert group["steps"] == {"search": 6, "evaluate": 9, "retrain": 12, "all": 27}
        for run in group["runs"]:
            result = json.loads((root / run["folder"] / "result.json").read_text())
            assert run["regret"] == result["regret"]
            costs = [cost for cost, _ in run["regret_over"]["steps"]]
            assert costs == [3, 6, 15]
            assert run["regret_over"]["steps"][-1][1] == result["regret"]
            seconds = [cost for cost, _ in run["regret_over"]["seconds"]]
            assert seconds == sorted(seconds)
            assert set(run["test"]) == set(result["test"])
    assert {row["measure"] for row in problem["tests"]} >= {"accuracy", "regret"}
    assert problem["cost"]["equal"]
    assert any("How far from the known best answer" in line for line in comparison_text(content))
