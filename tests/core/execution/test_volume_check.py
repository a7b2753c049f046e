"""A figure that cannot be told of the volumes that rank is refused before anything is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.data import DataError, Development, LabelledVolumes
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.volume_check import check_run_volumes


def development(train, validation):
    parts = (
        LabelledVolumes(np.zeros((len(y), 1, 6, 6, 6), np.uint8), np.asarray(y, np.int64))
        for y in (train, validation)
    )
    return Development(*parts)


def checked(registry, toy_values, data, searches=True, **keys):
    configuration = resolve({**toy_values, **keys}, registry)
    card = make_dataset(configuration, registry).card
    check_run_volumes(RunContext.of(configuration, registry, card), data, searches=searches)


EVEN = [0, 1] * 8


@pytest.mark.parametrize(
    ("keys", "train", "validation", "told"),
    [
        ({}, [0] * 16, [0] * 4, r"evaluate.rank_by=auc: no volume of 'bright' is .* \(12 vol"),
        ({}, [0] * 16, [], "no volume of 'bright'"),
        ({"retrain.select": "best", "retrain.rank_by": "auc"}, EVEN, [1] * 4,
         r"retrain.rank_by=auc: no volume of 'dark' is among the validation volumes \(4"),
    ],
)  # fmt: skip
def test_a_class_that_no_ranking_volume_has_is_named(
    registry, toy_values, keys, train, validation, told
):
    with pytest.raises(ConfigurationError, match=told):
        checked(registry, toy_values, development(train, validation), **keys)


@pytest.mark.parametrize(
    ("keys", "train", "validation"),
    [
        ({}, EVEN, [0, 1]),
        ({}, [0] * 16, [0, 1]),
        ({}, EVEN, [1] * 4),
        ({"evaluate.rank_by": "accuracy"}, [0] * 16, [0] * 4),
    ],
)
def test_what_can_be_told_is_taken(registry, toy_values, keys, train, validation):
    checked(registry, toy_values, development(train, validation), **keys)


def test_a_run_that_could_not_rank_leaves_no_folder(registry, toy_values, tmp_path):
    toy = type(registry.create("dataset", "toy"))

    class Lonely(toy):
        """All but one of its bright volumes are in the test set."""

        def development(self):
            data = super().development()
            dark = {part: getattr(data, part).labels == 0 for part in ("train", "validation")}
            dark["train"][np.flatnonzero(~dark["train"])[0]] = True
            kept = {part: getattr(data, part).take(np.flatnonzero(dark[part])) for part in dark}
            return dataclasses.replace(data, **kept)

    refused = []
    for seed in range(8):  # the one bright volume is in one half or in the other
        values = {**toy_values, "dataset": "lonely", "seed": seed, "search.epochs": 10**6}
        try:
            with pytest.raises(ConfigurationError, match="no volume of 'bright'"):
                mp.run(
                    **{**values, "run.root": str(tmp_path / "runs")},
                    registry=registry.adding("dataset", "lonely", Lonely),
                    listeners=[_stop_at_search],
                )
        except Searching:
            continue
        refused.append(seed)
        break
    assert refused
    folders = len(list((tmp_path / "runs").iterdir())) if (tmp_path / "runs").exists() else 0
    assert folders == refused[0]


class Searching(Exception):
    pass


def _stop_at_search(event, **_):
    if event == "run-started":
        raise Searching


def test_too_few_to_train_on_are_counted(registry, toy_values):
    with pytest.raises(DataError, match=r"train has 3 volumes, and a half .*, 1; at least 2"):
        checked(registry, toy_values, development([0, 1, 0], [0, 1]))


def test_without_a_search_nothing_is_halved_or_ranked(registry, toy_values):
    checked(registry, toy_values, development([0, 1], [0]), searches=False)
    with pytest.raises(DataError, match="train has one volume"):
        checked(registry, toy_values, development([0], [0, 1]), searches=False)


@pytest.mark.parametrize("seed", range(3))
def test_a_fixed_genotype_is_trained_on_a_set_that_cannot_be_halved(
    registry, toy_values, tmp_path, seed
):
    toy = type(registry.create("dataset", "toy"))

    class Few(toy):
        def development(self):
            data = super().development()
            first = [int(np.flatnonzero(data.train.labels == label)[0]) for label in (0, 1)]
            return dataclasses.replace(data, train=data.train.take(np.sort(first)))

    known = registry.adding("dataset", "few", Few)
    genotype = tmp_path / "genotype.json"
    genotype.write_text(registry.space("toy").sample(seed=seed).to_json())
    values = {**toy_values, "dataset": "few", "searcher": "fixed", "run.root": str(tmp_path / "r")}
    result = mp.run(registry=known, **values, **{"searcher.genotype": str(genotype)})
    assert result.test["accuracy"]["value"] >= 0
    values["searcher"] = "random"
    with pytest.raises(DataError, match="at least 2 are needed"):
        mp.run(registry=known, **values)
    assert len(list((tmp_path / "r").iterdir())) == 1
