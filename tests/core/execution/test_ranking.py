"""A figure that cannot be told of the volumes that rank is refused before anything is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.data import Development, LabelledVolumes
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.ranking import check_run_ranking


def development(train, validation):
    parts = (
        LabelledVolumes(np.zeros((len(y), 1, 6, 6, 6), np.uint8), np.asarray(y, np.int64))
        for y in (train, validation)
    )
    return Development(*parts)


def checked(registry, toy_values, data, **keys):
    configuration = resolve({**toy_values, **keys}, registry)
    card = make_dataset(configuration, registry).card
    check_run_ranking(RunContext.of(configuration, registry, card), data)


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
