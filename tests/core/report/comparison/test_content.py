"""Which runs are compared with which, and what is said of them."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from medpipe_core.config import ConfigurationError, RunFolderError
from medpipe_core.report.comparison import compare, comparison_text


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def groups_of(content, number=0):
    return {group["label"]: group for group in content["datasets"][number]["groups"]}


def gumbel(estimator):
    return {"searcher": "gumbel", "searcher.estimator": estimator, "searcher.lr": 0.1}


def test_runs_that_differ_by_the_seed_alone_are_one_group(make_run, root):
    for seed, test in enumerate([0.7, 0.8, 0.9]):
        make_run(seed=seed, test=test, settings={"preset": str(seed), "run.root": f"r{seed}"})
    content = compare([root])
    (group,) = groups_of(content).values()
    assert group["label"] == "random"
    assert group["seeds"] == [0, 1, 2]
    figures = group["figures"]["test"]["accuracy"]
    assert figures["mean"] == pytest.approx(0.8)
    assert (figures["least"], figures["most"], figures["count"]) == (0.7, 0.9, 3)
    assert "auc" not in group["figures"]["test"]


def test_groups_are_called_by_the_searcher_and_by_as_little_as_tells_them_apart(make_run, root):
    make_run(settings=gumbel("gate"))
    make_run(settings=gumbel("score"))
    make_run(settings={"searcher.odd": 1})
    make_run(settings={"searcher.odd": 1, "search.epochs": 3, "space.width": 2})
    assert list(groups_of(compare([root]))) == [
        "gumbel estimator=gate",
        "gumbel estimator=score",
        "random search.epochs=2",
        "random search.epochs=3",
    ]


def test_what_names_do_not_tell_is_a_table(make_run, root):
    make_run(settings={"searcher.odd": 1, "search.epochs": 3, "space.layers": ["a"] * 40})
    make_run(settings={"searcher.odd": 1, "threads": 2})
    text = "\n".join(" ".join(line.split()) for line in comparison_text(compare([root])))
    assert "How the groups differ" in text
    assert "search.epochs 2 3" in text
    assert "threads 2 –" in text
    assert re.search(r"space.layers – \[(a, ){5,12}a?,?…", text)


def test_a_key_without_a_value_is_as_one_that_an_older_run_lacks(make_run, root):
    make_run(seed=0, settings={"searcher.later": None})
    make_run(seed=1)
    assert groups_of(compare([root]))["random"]["seeds"] == [0, 1]


@pytest.mark.parametrize(
    "other", [{"search.epochs": 3}, {"threads": 2}, {"space.width": 7}, {"data.strict": True}]
)
def test_runs_with_any_other_setting_are_not_pooled(make_run, root, other):
    make_run(seed=0)
    make_run(seed=1, settings=other)
    labels = list(groups_of(compare([root])))
    assert len(labels) == 2
    assert any(next(iter(other)).removeprefix("space.") in label for label in labels)


def test_runs_of_another_space_of_the_same_name_are_not_pooled(make_run, root):
    make_run(seed=0)
    folder = make_run(seed=1)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "space_digest": "def"}))
    content = compare([root])
    assert not any("--ignore" in note for note in content["datasets"][0]["warnings"])
    assert list(groups_of(compare([root]))) == [
        "random space_digest=abc", "random space_digest=def",
    ]  # fmt: skip


def test_a_figure_that_is_no_number_is_passed_over(make_run, root):
    folder = make_run()
    result = json.loads((folder / "result.json").read_text())
    result["test"] |= {"confusion": [[1, 2]], "best_class": "ball", "loss": float("nan")}
    (folder / "result.json").write_text(json.dumps(result))
    assert list(groups_of(compare([root]))["random"]["figures"]["test"]) == ["accuracy"]


def test_datasets_are_apart_and_named_by_what_differs(make_run, root):
    for settings in ({"dataset.size": 8}, {"dataset.size": 9}, {"dataset": "other"}):
        make_run(settings=settings)
    content = compare([root])
    assert [problem["dataset"] for problem in content["datasets"]] == [
        "phantom3d dataset.size=8", "phantom3d dataset.size=9", "other",
    ]  # fmt: skip


def test_of_two_runs_with_the_same_settings_and_seed_the_later_counts(make_run, root):
    earlier, later = make_run(test=0.1), make_run(test=0.9)
    content = compare([root])
    assert groups_of(content)["random"]["figures"]["test"]["accuracy"]["mean"] == 0.9
    (left_out,) = content["left_out"]
    assert left_out["folder"] == str(earlier)
    assert later.name in left_out["reason"]


def test_a_run_given_twice_counts_once(make_run, root):
    folder = make_run()
    content = compare([folder, root, f"{folder}/../{folder.name}"])
    assert groups_of(content)["random"]["seeds"] == [0]
    assert content["left_out"] == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "result.json").unlink(), "did not finish"),
        (lambda f: (f / "result.json").write_text("{"), "not usable JSON"),
        (lambda f: (f / "result.json").write_text("[]"), "not the result of a run"),
        (lambda f: (f / "result.json").write_text('{"seed": 0}'), "dataset: Field required"),
        (lambda f: (f / "events.jsonl").unlink(), "cannot read"),
        (lambda f: (f / "events.jsonl").write_text("junk\n"), "line 1: not an event"),
        (lambda f: (f / "events.jsonl").write_text('{"event": "retrain-epoch"}\n'), "steps: Field"),
        (lambda f: (f / "events.jsonl").write_text('{"event": "search-best"}\n'), "search-best: "),
        (lambda f: (f / "config.yaml").unlink(), "cannot read"),
        (lambda f: (f / "config.yaml").write_text("a: 1\na: 2\n"), "given twice"),
    ],
)
def test_a_run_that_cannot_be_read_is_named_and_left_out(make_run, root, damage, reason):
    broken, _ = make_run(seed=0), make_run(seed=1)
    damage(broken)
    content = compare([root])
    assert groups_of(content)["random"]["seeds"] == [1]
    (left_out,) = content["left_out"]
    assert left_out["folder"] == str(broken)
    assert reason in left_out["reason"]
    assert any(str(broken) in line for line in comparison_text(content))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"event": "run-failed", "error": "ValueError", "message": "why"}, "ValueError: why"),
        ({"event": "interrupted", "reason": "stopped by SIGTERM"}, "stopped by SIGTERM"),
    ],
)
def test_a_run_without_a_result_is_left_out_with_what_ended_it(make_run, root, event, reason):
    broken, _ = make_run(seed=0), make_run(seed=1)
    (broken / "result.json").unlink()
    (broken / "events.jsonl").write_text(f"{json.dumps(event)}\n")
    assert reason in compare([root])["left_out"][0]["reason"]


def test_where_nothing_can_be_compared_that_is_an_error(make_run, root, tmp_path):
    with pytest.raises(RunFolderError, match="there is no folder"):
        compare([tmp_path / "nowhere"])
    root.mkdir()
    with pytest.raises(RunFolderError, match="holds none"):
        compare([root])
    (make_run() / "result.json").unlink()
    with pytest.raises(RunFolderError, match=r"be compared: .*-s0: it did not"):
        compare([root])


def test_groups_are_tested_on_the_seeds_that_both_have(make_run, root):
    for seed in range(6):
        make_run(seed=seed, test=0.5 + 0.01 * seed)
        make_run(seed=seed, test=0.6 + 0.02 * seed, settings={"searcher": "gumbel"})
    make_run(seed=6, test=0.0)
    (row,) = compare([root])["datasets"][0]["tests"]
    assert (row["measure"], row["one"], row["other"]) == ("accuracy", "gumbel", "random")
    assert row["seeds"] == 6
    assert row["difference"] == pytest.approx(0.1 + 0.01 * 2.5)
    assert row["p"] == row["p_holm"] == pytest.approx(2 / 64)


def test_p_values_are_corrected_for_the_pairs_of_groups(make_run, root):
    for seed in range(6):
        for test, name in ((0.5, "a"), (0.6, "b"), (0.7, "c")):
            make_run(seed=seed, test=test + 0.001 * seed, settings={"searcher": name})
    rows = compare([root])["datasets"][0]["tests"]
    assert len(rows) == 3
    assert [row["p_holm"] for row in rows] == [pytest.approx(6 / 64)] * 3


def test_regret_over_cost_is_the_mean_of_staircases(make_run, root):
    make_run(seed=0, bests=[(2, 0.2, 0.8), (4, 0.5, 0.4)], regret=0.0)
    make_run(seed=1, bests=[(2, 0.3, 0.6), (4, 0.6, None)], regret=0.5, seconds=(1.5, 2.0, 3.0))
    regret = groups_of(compare([root]))["random"]["regret"]
    assert (regret["final"]["mean"], regret["zero"]) == (0.25, 0.5)
    steps = regret["over"]["steps"]
    assert [(p["cost"], p["mean"]) for p in steps] == [
        (2, pytest.approx(0.7)), (4, pytest.approx(0.5)), (10, 0.25),
    ]  # fmt: skip
    assert (steps[0]["low"], steps[0]["high"]) == (0.6, 0.8)
    # By seconds it begins where both have begun, and the first to end keeps its last.
    assert [(p["cost"], p["mean"]) for p in regret["over"]["seconds"]] == [
        (0.3, pytest.approx(0.7)), (0.5, pytest.approx(0.5)), (3, pytest.approx(0.3)), (3.5, 0.25),
    ]  # fmt: skip


def test_regret_that_a_run_does_not_know_is_not_averaged(make_run, root):
    make_run(seed=0, regret=0.5)
    make_run(seed=1)
    assert groups_of(compare([root]))["random"]["regret"] is None


def test_scores_of_search_and_evaluation_are_ranked_within_each_run(make_run, root):
    make_run(seed=0, scores=[(1, 1), (2, 3), (3, 2), (4, 4)])
    make_run(seed=1, scores=[(100, 1), (200, 0)])
    failed = make_run(seed=2, scores=[(1, 2), (2, 1)])
    result = json.loads((failed / "result.json").read_text())
    result["candidates"][0] |= {"failed": "out of memory", "validation": {}}
    (failed / "result.json").write_text(json.dumps(result))
    group = groups_of(compare([root]))["random"]
    first, second, third = (run["agreement"] for run in group["runs"])
    assert first["tau"] == pytest.approx(2 / 3)
    assert second["tau"] == -1
    assert third is None
    assert group["agreement"]["tau"] == pytest.approx((6 * 2 / 3 - 1) / 7)


def test_costs_are_counted_by_stage_and_a_difference_is_warned_of(make_run, root):
    make_run(steps=(100, 50, 50))
    make_run(steps=(104, 50, 50), settings={"searcher": "cheap"})
    content = compare([root])["datasets"][0]
    assert content["groups"][1]["steps"] == {
        "search": 100, "evaluate": 50, "retrain": 50, "all": 200,
    }  # fmt: skip
    assert content["groups"][1]["seconds"]["all"] == 6
    assert not any("cost" in note for note in content["warnings"])
    assert content["cost"]["equal"]
    assert "at equal cost (200 to 204 steps" in next(iter(comparison_text(compare([root]))))
    make_run(steps=(112, 50, 50), settings={"searcher": "dear"})
    content = compare([root])
    assert "equal cost" not in next(iter(comparison_text(content)))
    warnings = content["datasets"][0]["warnings"]
    assert any("dear takes 212 steps of weights, random 200" in note for note in warnings)


def test_trainings_that_score_candidates_count_as_search(make_run, root):
    folder = make_run(bests=[(4, 0.5, 1.0)], regret=1.0)
    events = [
        {"event": "search-trial", "steps": 7},
        {"event": "search-best", "steps": 0, "seconds": 0.1, "regret": 2.0},
        {"event": "search-trial", "steps": 7},
        {"event": "search-best", "steps": 0, "seconds": 0.2, "regret": 1.0},
        {"event": "evaluate-epoch", "steps": 3},
    ]
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (group,) = groups_of(compare([root])).values()
    assert group["steps"] == {"search": 14, "evaluate": 3, "retrain": 0, "all": 17}
    assert [p["cost"] for p in group["regret"]["over"]["steps"]] == [7, 14, 17]


def test_what_was_chosen_is_counted(make_run, root):
    for seed, key in enumerate(["conv", "skip", "conv"]):
        extra = {"depth": "2"} if key == "skip" else {}
        make_run(seed=seed, choices={"layer": key, **extra})
    content = compare([root])
    choices = groups_of(content)["random"]["choices"]
    assert choices == {"layer": {"conv": 2, "skip": 1}, "depth": {"2": 1}}
    assert "conv ×2, skip ×1" in "\n".join(comparison_text(content))


def test_seconds_on_different_devices_are_warned_of(make_run, root):
    make_run(seed=0)
    folder = make_run(seed=1)
    (folder / "environment.json").write_text('{"device": "cuda:0 (some GPU)"}')
    (problem,) = compare([root])["datasets"]
    assert any("cpu, cuda:0 (some GPU)" in note for note in problem["warnings"])
    (folder / "environment.json").unlink()
    assert not compare([root])["datasets"][0]["warnings"]


def test_few_common_seeds_are_told_of(make_run, root):
    make_run()
    make_run(settings={"searcher": "gumbel"})
    (problem,) = compare([root])["datasets"]
    assert any("seeds in common (the fewest: 1)" in note for note in problem["warnings"])
    assert problem["tests"] == []


def test_a_comparison_repeats_itself(make_run, root, tmp_path):
    for seed in range(4):
        make_run(seed=seed, test=0.5 + seed / 10, regret=seed / 10, scores=[(1, 2), (2, 1), (3, 3)])
    first = compare([root])
    assert compare([root]) == first
    shutil.copytree(root, tmp_path / "elsewhere")
    moved = compare([tmp_path / "elsewhere"])
    assert groups_of(moved)["random"]["figures"] == groups_of(first)["random"]["figures"]


def test_a_choice_without_effect_is_not_counted(make_run, root):
    choices = {"blur/p": "0", "blur/kernel": "5"}
    folder = make_run(choices=choices)
    make_run(seed=1, choices={"blur/p": "0.5", "blur/kernel": "3"})
    told = {"event": "chosen", "tables": [{"title": "Augmentation", "choices": ["blur/p"]}]}
    with (folder / "events.jsonl").open("a") as file:
        file.write(f"{json.dumps(told)}\n")
    found = groups_of(compare([root]))["random"]["choices"]
    assert found == {"blur/p": {"0": 1, "0.5": 1}, "blur/kernel": {"3": 1}}


def test_who_ran_the_trials_is_no_setting(make_run, root):
    make_run(settings={"executor": "local", "executor.workers": 1})
    make_run(seed=1, settings={"executor": "local", "executor.workers": 2})
    make_run(seed=2)
    assert groups_of(compare([root]))["random"]["seeds"] == [0, 1, 2]


def fixed(number, **more):
    return {"searcher": "fixed", "searcher.genotype": f"/data/{'long/' * 20}run-s{number}", **more}


def test_long_values_are_shortened_in_names_which_stay_apart(make_run, root):
    for number in range(2):
        make_run(settings=fixed(number))
        make_run(settings={"space.layers": ["a"] * 40 + [str(number)]})
    labels = list(groups_of(compare([root])))
    assert len(set(labels)) == 4
    assert all(len(label) < 80 for label in labels)
    assert labels[0].endswith("run-s0")


def test_a_setting_can_be_ignored(make_run, root):
    for seed in range(3):
        make_run(seed=seed, settings=fixed(seed))
        make_run(seed=seed)
    content = compare([root])
    assert len(groups_of(content)) == 4
    (hint,) = [note for note in content["datasets"][0]["warnings"] if "--ignore" in note]
    assert hint.startswith("3 groups differ by searcher.genotype alone")
    content = compare([root], ignore=["searcher.genotype"])
    assert {label: one["seeds"] for label, one in groups_of(content).items()} == {
        "fixed": [0, 1, 2], "random": [0, 1, 2],
    }  # fmt: skip
    assert content["ignored"] == ["searcher.genotype"]
    assert "Ignored as asked: searcher.genotype" in list(comparison_text(content))
    assert not any("--ignore" in note for note in content["datasets"][0]["warnings"])


def test_groups_with_a_common_seed_are_not_said_to_be_one(make_run, root):
    make_run(settings=fixed(0))
    make_run(settings=fixed(1))
    content = compare([root])
    assert not any("--ignore" in note for note in content["datasets"][0]["warnings"])


def test_a_setting_of_the_space_that_is_ignored_takes_the_digest_with_it(make_run, root):
    for seed in range(2):
        folder = make_run(seed=seed, settings={"space.width": seed})
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, "space_digest": str(seed)}))
    assert len(groups_of(compare([root]))) == 2
    assert len(groups_of(compare([root], ignore=["space.width"]))) == 1


def test_settings_are_ignored_by_a_pattern(make_run, root):
    make_run(seed=0, settings={"space.width": 1, "space.depth": 2})
    make_run(seed=1)
    assert len(groups_of(compare([root]))) == 2
    assert len(groups_of(compare([root], ignore=["space.*"]))) == 1


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("space.*", "no run has this setting"),
        ("", "no run has this setting"),
        ("search.epoch", "no run has this setting. Did you mean 'search.epochs'"),
        ("searcher", "a comparison is of these"),
        ("seed", "it makes no groups"),
    ],
)
def test_what_cannot_be_ignored_is_told(make_run, root, key, words):
    make_run()
    with pytest.raises(ConfigurationError, match=words):
        compare([root], ignore=[key])
