"""Folds: every volume is tested once, no patient is on two sides, whatever the run's seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.data import (
    CrossValidatedDataset,
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    SealedTest,
    cross_validated,
    folds,
)
from medpipe_core.execution.checked_dataset import make_dataset


@given(st.integers(0, 999), st.integers(2, 7), st.integers(7, 40), st.integers(1, 4))
def test_folds_part_all_volumes_and_no_patient(seed, count, patients, each):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), each)
    labels = np.repeat(rng.integers(0, 3, patients), each)
    found = folds(labels, groups, count=count, seed=seed)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(labels)))
    assert sum(len(set(groups[part])) for part in found) == patients
    for label in range(3):
        held = [int((labels[part] == label).sum()) for part in found]
        assert max(held) - min(held) <= each
    again = folds(labels, groups, count=count, seed=seed)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_fewer_patients_than_folds_are_refused():
    with pytest.raises(DataError, match=r"4 volumes of 2 patients into 3 folds"):
        folds(np.array([0, 1, 0, 1]), np.array(["a", "b", "a", "b"]), count=3, seed=0)
    with pytest.raises(DataError, match="leave nothing to train on"):
        cross_validated(np.arange(8) % 2, None, fold=0, folds=2, validation=0.5, seed=0)


def volumes(count, first=0):
    voxels = np.arange(first, first + count, dtype=np.uint8).reshape(-1, 1, 1, 1, 1)
    patients = (np.arange(count) + first) // 2
    return LabelledVolumes(voxels, (patients % 2).astype(np.int64), patients)


class Own:
    card = DatasetCard("own", "Own", ("a", "b"), 1, (1, 1, 1), "here", "any")

    def development(self):
        return Development(volumes(40), volumes(8, first=40), notes=("read",))

    def sealed_test(self):
        def read():
            raise AssertionError("the own test set was opened")

        return SealedTest(read)


def test_of_what_a_dataset_hands_out_every_volume_is_tested_once():
    tested = []
    for fold in range(4):
        dataset = CrossValidatedDataset(Own(), fold=fold, folds=4)
        development, sealed = dataset.development(), dataset.sealed_test()
        assert not sealed.opened
        test = sealed.open(after="a test")
        parts = (development.train, development.validation, test)
        patients = [set(part.groups.tolist()) for part in parts]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 24
        assert sum(map(len, parts)) == 48
        assert len(development.validation) == 8
        tested += test.volumes.ravel().tolist()
        named = zip(test.cases, test.volumes.ravel(), strict=True)
        assert all(int(case[-2:]) + 40 * case.startswith("val") == number for case, number in named)
        assert development.notes == ("read",)
        assert f"tested on fold {fold} of 4" in dataset.card.notes[-1]
        assert dataset.preparation() is None
        assert dataset.regret(None) is None
    assert sorted(tested) == list(range(48))


def test_a_run_makes_folds_of_any_dataset(toy_values, registry):
    keys = {**toy_values, "data.fold": 1, "data.folds": 3}
    plain = make_dataset(resolve(toy_values, registry), registry).development()
    whole = len(plain.train) + len(plain.validation)
    cases = []
    for seed in (0, 7):
        dataset = make_dataset(resolve({**keys, "seed": seed}, registry), registry)
        development = dataset.development()
        test = dataset.sealed_test().open(after="a test")
        assert len(development.train) + len(development.validation) + len(test) == whole
        cases.append(test.volumes)
    assert np.array_equal(*cases)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"data.fold": 5}, "of 5 folds the last one is 4"),
        ({"data.folds": 3}, "says nothing without data.fold"),
        ({"dataset.fold": 1}, "data.fold"),
    ],
)
def test_a_fold_that_cannot_be_is_refused(toy_values, registry, keys, told):
    with pytest.raises(ConfigurationError, match=told):
        resolve({**toy_values, "dataset": "folder", **keys}, registry)
