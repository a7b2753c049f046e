"""Folds of cross-validation: one figure over all volumes, each tested in its own fold."""

from __future__ import annotations

import numpy as np
import pytest

from medpipe_core.record.predictions_csv import Prediction, predictions_csv
from medpipe_core.report.comparison import compare, comparison_text, pooled_text
from medpipe_core.train import metrics

CLASSES = ("a", "b")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def fold(make_run):
    def make(number, cases, *, seed=0, folds=3, names=CLASSES):
        rng = np.random.default_rng(number)
        rows = []
        for case in cases:
            p = float(rng.random())
            rows.append(Prediction(f"c{case}", f"p{case // 2}", "test", names[case % 2],
                                   [1 - p, p], names[int(p > 0.3)]))  # fmt: skip
        rows.append(Prediction("other", "p99", "train", names[0], [0.5, 0.5], names[0]))
        folder = make_run(seed=seed, settings={"data.fold": number, "data.folds": folds})
        (folder / "predictions.csv").write_text(predictions_csv(names, rows))
        return [row for row in rows if row.part == "test"]

    return make


def pooled(root):
    (problem,) = compare([root])["datasets"]
    (group,) = problem["groups"]
    return group["pooled"]


def test_figures_are_those_of_all_folds_together(fold, root):
    rows = [row for k in range(3) for row in fold(k, range(10 * k, 10 * k + 10))]
    found = pooled(root)
    probabilities = np.array([row.probabilities for row in rows])
    labels = np.array([CLASSES.index(row.true) for row in rows])
    expected = metrics(probabilities, labels)
    thirds = [slice(10 * k, 10 * k + 10) for k in range(3)]
    expected["auc"] = np.mean([metrics(probabilities[s], labels[s])["auc"] for s in thirds])
    assert {n: f["value"] for n, f in found["figures"].items()} == pytest.approx(expected, abs=1e-5)
    right = np.mean([row.true == row.decision for row in rows])
    assert found["decided"]["accuracy"]["value"] == right
    assert all(f["low"] <= f["value"] <= f["high"] for f in found["figures"].values())
    assert (found["cases"], found["patients"], found["folds"]) == (30, 15, 3)
    text = "\n".join(comparison_text(compare([root])))
    assert "Cross-validation, all test folds together" in text
    assert "sensitivity of 'b'" in text
    assert "pooled over 30 volumes of 15 patients, each tested in its fold of 3" in text
    assert "\n".join(pooled_text(compare([root]))) in text or "Cross-validation" in text


def test_a_fold_that_is_missing_is_named(fold, root):
    fold(0, range(10))
    fold(2, range(10, 20))
    assert pooled(root)["missing"] == {"0": [1]}
    assert "of seed 0 the folds 1 are missing" in "\n".join(pooled_text(compare([root])))


def test_several_seeds_count_a_volume_once_each(fold, root):
    for seed in (0, 1):
        for k in range(3):
            fold(k, range(10 * k, 10 * k + 10), seed=seed)
    found = pooled(root)
    assert (found["count"], found["cases"], found["missing"]) == (60, 30, {})


@pytest.mark.parametrize("broken", ["twice", "classes", "gone", "text", "fields"])
def test_what_cannot_be_pooled_says_why(fold, root, broken):
    fold(0, range(10))
    if broken == "twice":
        fold(1, range(5, 15))
    elif broken == "classes":
        fold(1, range(10, 20), names=("a", "c"))
    else:
        fold(1, range(10, 20))
        path = sorted(root.iterdir())[1] / "predictions.csv"
        text = path.read_text()
        path.unlink()
        if broken == "text":
            path.write_text(text.replace(",0.", ",x."))
        if broken == "fields":
            path.write_text(text.replace("c11,", ""))
    told = {
        "twice": "c5 was tested in another fold",
        "classes": "has the classes",
        "gone": "cannot be read",
        "text": "a probability is no number",
        "fields": "not as many fields",
    }
    assert told[broken] in pooled(root)["failed"]
    assert "cannot be pooled" in "\n".join(pooled_text(compare([root])))


def test_runs_without_folds_are_not_pooled_and_not_told_apart_by_the_number_of_folds(
    make_run, root
):
    make_run(seed=0, settings={"data.fold": None, "data.folds": 5})
    make_run(seed=1, settings={"data.fold": None, "data.folds": 7})
    assert pooled(root) is None
    assert list(pooled_text(compare([root]))) == []
