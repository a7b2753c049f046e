"""The dataset of a run: which of the keys `data.*` it is handed, and which are refused."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from pydantic import BaseModel

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.data import DataError, DatasetCard, Development, Outline, SealedTest
from medpipe_core.execution.checked_dataset import CheckedDataset, make_dataset
from medpipe_core.plugins import load_plugins
from medpipe_core.report.summary import data_notes

BASE = {"space": "toy", "searcher": "random"}


class Size(BaseModel):
    size: int = 8


class Rooted(Size):
    root: str | None = None


class Recorded:
    """Keeps what it was made with."""

    card = DatasetCard("mine", "Mine", ("a", "b"), 1, (6, 6, 6), "made here", "none")

    def __init__(self, *, root="nowhere", **settings):
        self.made_with = {"root": root, **settings}


def swallow(**settings):
    return Recorded(**settings)


@pytest.fixture
def made(registry):
    """Register a factory as the dataset, and make it with some keys."""

    def make(factory, model=None, **keys):
        known = registry.adding("dataset", "mine", factory, parameters=model)
        configuration = resolve({**BASE, "dataset": "mine", **keys}, known)
        return make_dataset(configuration, known).dataset

    return make


@pytest.mark.parametrize("model", [None, Size, Rooted], ids=["signature", "model", "in the model"])
def test_a_factory_that_takes_root_is_handed_data_root(made, model):
    dataset = made(Recorded, model, **{"data.root": "/scans"})
    assert dataset.made_with["root"] == "/scans"


def test_without_data_root_the_factorys_own_default_holds(made):
    assert made(Recorded, Size).made_with == {"root": "nowhere", "size": 8}


@pytest.mark.parametrize(
    ("key", "value"), [("data.root", "/scans"), ("data.download", True), ("data.strict", True)]
)
def test_a_key_that_the_dataset_does_not_take_is_refused(made, key, value):
    with pytest.raises(ConfigurationError, match=rf"{key}: dataset 'mine' does not take it.*none"):
        made(swallow, Size, **{key: value})


def test_keys_that_are_not_read_are_refused_with_those_that_are(made):
    with pytest.raises(ConfigurationError, match=r"data.strict: .*it takes data.root\)"):
        made(Recorded, Size, **{"data.root": "/scans", "data.strict": True})


def test_a_file_made_for_another_dataset_may_have_keys_that_this_one_does_not_take(registry):
    base = {**BASE, "dataset": "adrenalmnist3d", "data.root": "/scans", "preset": "quick"}
    assert resolve({"dataset": "toy"}, registry, base=base).dataset == "toy"
    with pytest.raises(ConfigurationError, match="'toy' does not take it"):
        resolve({}, registry, base={**base, "dataset": "toy"})


def test_the_published_datasets_take_all_three():
    registry = load_plugins()
    keys = {"data.root": "/scans", "data.download": True, "data.strict": True}
    configuration = resolve({"dataset": "adrenalmnist3d", **keys}, registry)
    assert make_dataset(configuration, registry).dataset.path.parent.name == "scans"


@pytest.fixture
def toy(registry):
    return type(registry.create("dataset", "toy"))


@pytest.fixture
def toy_like(toy):
    """Make a factory of the toy dataset with some methods changed."""
    return lambda **changes: lambda: type("Changed", (toy,), changes)()


WRONG = {
    "a tuple": ({"development": lambda self: (1, 2)}, "gives a tuple; return Development"),
    "an open test set": (
        {"sealed_test": lambda self: self.development().train},
        "gives a LabelledVolumes; return SealedTest",
    ),
    "a missing file": (
        {"development": lambda self: np.load("/no/such/scan")},
        r"development\(\) raised FileNotFoundError: .*'/no/such/scan' \(at .*test_checked_dataset",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_dataset_is_told_by_name_before_anything_is_trained(
    registry, toy_like, tmp_path, case
):
    changes, reason = WRONG[case]
    events = []
    with pytest.raises(DataError, match=f"dataset 'mine' of this process -: .*{reason}"):
        mp.run(
            **{**BASE, "dataset": "mine", "run.root": str(tmp_path / "runs")},
            registry=registry.adding("dataset", "mine", toy_like(**changes)),
            listeners=[lambda event, **_: events.append(event)],
        )
    assert events == ["data-reading"]
    assert not (tmp_path / "runs").exists()


def test_a_card_that_cannot_be_had_is_told_before_there_is_a_folder(registry, toy_like, tmp_path):
    def card(self):
        raise DataError("there is no file scans.npz")

    with pytest.raises(DataError, match=r"dataset 'mine' .*: there is no file scans"):
        mp.run(
            **{**BASE, "dataset": "mine", "run.root": str(tmp_path / "runs")},
            registry=registry.adding("dataset", "mine", toy_like(card=property(card))),
        )
    assert not (tmp_path / "runs").exists()


def test_a_test_set_that_is_not_as_the_card_says_is_told_when_it_is_opened(toy_like):
    def sealed_test(self):
        return SealedTest(lambda: [1, 2])

    dataset = CheckedDataset(toy_like(sealed_test=sealed_test)(), "dataset 'mine'")
    assert len(dataset.development().train) == 24
    with pytest.raises(DataError, match="dataset 'mine': test is a list; return LabelledVolumes"):
        dataset.sealed_test().open(after="all")


def test_patients_of_the_test_set_that_were_trained_on_are_noted(registry, toy, toy_like, tmp_path):
    def named(data, *names):
        return dataclasses.replace(data, groups=np.resize(names, len(data)))

    def development(self):
        data = toy.development(self)
        return Development(named(data.train, "p", "q"), named(data.validation, "r"))

    def sealed_test(self):
        sealed = toy.sealed_test(self)
        return SealedTest(lambda: named(sealed.open(after="-"), "q", "s"))

    factory = toy_like(development=development, sealed_test=sealed_test)
    small = {"search.epochs": 1, "evaluate.epochs": 1, "evaluate.top_k": 1, "retrain.epochs": 1}
    result = mp.run(
        **{**BASE, **small, "dataset": "mine", "run.root": str(tmp_path), "test.resamples": 20},
        registry=registry.adding("dataset", "mine", factory),
    )
    assert "1 patients of the test set are in the train set as well." in data_notes(result.content)


def test_a_known_answer_is_asked_of_the_dataset_itself(toy, toy_like):
    assert CheckedDataset(toy(), "dataset 'toy'").regret("a genotype") is None
    known = toy_like(regret=lambda self, genotype: len(genotype))()
    assert CheckedDataset(known, "dataset 'mine'").regret("four") == 4


def test_development_data_are_read_once(toy):
    reads = []

    class Counted(toy):
        def development(self):
            reads.append(1)
            return super().development()

    dataset = CheckedDataset(Counted(), "dataset 'mine'")
    assert dataset.seconds == 0
    assert dataset.development() is dataset.development()
    assert reads == [1]
    assert dataset.seconds > 0


def test_the_time_that_reading_takes_is_that_of_the_stage_data(registry, toy, toy_like, tmp_path):
    def development(self):
        time.sleep(0.3)
        return toy.development(self)

    small = {"search.epochs": 1, "evaluate.epochs": 1, "evaluate.top_k": 1, "retrain.epochs": 1}
    result = mp.run(
        **{**BASE, **small, "dataset": "mine", "run.root": str(tmp_path), "test.resamples": 20},
        registry=registry.adding("dataset", "mine", toy_like(development=development)),
    )
    assert result.content["seconds"]["data"] >= 0.3


def test_an_outline_that_does_not_fit_ends_a_run_before_it_trains(registry, toy, toy_like):
    def sealed_test(self):
        return SealedTest(lambda: None, outline=Outline((1, 2, 2, 2), np.uint8))

    dataset = CheckedDataset(toy_like(sealed_test=sealed_test)(), "dataset 'mine'")
    with pytest.raises(DataError, match="test has volumes of shape"):
        dataset.development()
