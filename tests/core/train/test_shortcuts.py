"""Facts beside the picture that predict the label are found, and those that do not are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from medpipe_core.data import LabelledVolumes
from medpipe_core.train.figures import bootstrap
from medpipe_core.train.shortcuts import ALL, ShortcutModels


def made(count, seed, facts, *, classes=2, patients=None):
    """Volumes of noise, whose facts are functions of labels and a generator."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    volumes = rng.random((count, 1, 3, 3, 3), np.float32)
    told = {name: np.asarray(make(labels, rng)) for name, make in facts.items()}
    return LabelledVolumes(volumes, labels, patients, facts=told)


def noise(labels, rng):
    return rng.random(len(labels))


def judged(facts, *, train=120, other=80, classes=2):
    models = ShortcutModels(made(train, 0, facts, classes=classes), classes)
    return models.judge(made(other, 1, facts, classes=classes), seed=0)


def found(told):
    return {name for name, one in told.items() if one["shortcut"]}


PLANTED = {
    "a threshold": lambda y, rng: y + 0.6 * rng.random(len(y)),
    "both ends": lambda y, rng: np.where(y == 1, 5, rng.choice([1, 9], len(y))),
    "a scanner": lambda y, rng: np.where(rng.random(len(y)) < 0.85, y, 1 - y).astype(str),
    "unknown for one": lambda y, rng: np.where(y == 1, np.nan, rng.random(len(y))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_shortcut_is_found(name):
    told = judged({name: PLANTED[name], "noise": noise})
    assert {name, ALL} <= found(told) <= {name, ALL}
    assert told[name]["auc"]["low"] > 0.7
    assert told[name]["accuracy"]["value"] > 0.7


def test_facts_that_say_nothing_are_no_shortcuts():
    facts = {f"noise {n}": noise for n in range(4)} | {
        "site": lambda y, rng: rng.choice(["a", "b", "c"], len(y)),
        "the same": lambda y, rng: np.full(len(y), 2.5),
    }
    for classes in (2, 3):
        told = judged(facts, classes=classes)
        assert found(told) == set()
        assert "the same" not in told
        assert all(one["auc"]["low"] <= 0.5 for one in told.values() if one["p"] > 0.1)


def test_how_often_nothing_is_called_a_shortcut():
    """Five in a hundred data sets at most, whatever the number of facts: 2 of 8 are p = .06."""
    facts = {f"noise {n}": noise for n in range(2)}
    false = 0
    for seed in range(8):
        models = ShortcutModels(made(60, 2 * seed, facts), 2)
        false += bool(found(models.judge(made(40, 2 * seed + 1, facts), seed=seed)))
    assert false <= 2


def test_a_few_patients_with_many_volumes_show_nothing():
    """Four patients of five volumes each: their own trait looks like a trait of the class."""
    patients = np.repeat(np.arange(4), 10)
    trait = np.array([0.1, 0.9, 0.2, 0.8])[patients]
    labels = np.array([0, 1, 0, 1])[patients]
    rng = np.random.default_rng(0)
    volumes = rng.random((40, 1, 3, 3, 3), np.float32)
    test = LabelledVolumes(volumes, labels, patients, facts={"trait": trait})
    train = made(80, 0, {"trait": lambda y, rng: y * 0.5 + rng.random(len(y)) * 0.5})
    told = ShortcutModels(train, 2).judge(test, seed=0)["trait"]
    assert told["auc"]["value"] == 1
    assert told["p"] > 0.1
    assert not told["shortcut"]


def test_the_brightness_of_voxels_is_a_fact():
    rng = np.random.default_rng(0)

    def bright(count):
        labels = np.arange(count) % 2
        volumes = rng.random((count, 1, 3, 3, 3)) * 0.5 + 0.4 * labels[:, None, None, None, None]
        return LabelledVolumes(volumes.astype(np.float32), labels)

    told = ShortcutModels(bright(60), 2).judge(bright(40), seed=0)
    assert told["mean intensity"]["shortcut"]


def test_a_fact_or_class_that_a_part_lacks_breaks_nothing():
    models = ShortcutModels(made(60, 0, {"size": noise, "site": PLANTED["a scanner"]}), 2)
    told = models.judge(made(30, 1, {}), seed=0)
    assert found(told) == set()
    one = made(30, 1, {"size": noise})
    alone = LabelledVolumes(one.volumes, np.zeros(30, np.int64), facts=one.facts)
    assert found(models.judge(alone, seed=0)) == set()


def test_intervals_are_those_of_ranking_each_resample_anew():
    patients = np.random.default_rng(2).integers(0, 25, 60)
    facts = {"a scanner": PLANTED["a scanner"], "size": lambda y, rng: rng.integers(0, 4, len(y))}
    models = ShortcutModels(made(60, 0, facts, classes=3), 3)
    data = made(60, 1, facts, classes=3, patients=patients)

    def figures(probabilities, labels):
        ranks, of = rankdata(probabilities, axis=0), np.eye(3)[labels]
        positives = of.sum(0)
        above = (ranks * of).sum(0) - positives * (positives + 1) / 2
        there = positives > 0
        areas = above[there] / (positives * (len(labels) - positives))[there]
        return {"auc": areas.mean(), "accuracy": (probabilities.argmax(1) == labels).mean()}

    told = models.judge(data, seed=3)
    for name, probabilities in models.probabilities(data).items():
        expected = bootstrap(
            probabilities, data.labels, seed=3, groups=patients, resamples=200, figures=figures
        )
        for figure, numbers in expected.items():
            assert told[name][figure] == pytest.approx(numbers, abs=1e-12)
