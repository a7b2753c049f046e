"""The dataset of a run: which of the keys `data.*` it is handed, and which are refused."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from medpipe_core.plugins import load_plugins
from medpipe_core.runner import ConfigurationError, resolve
from medpipe_core.runner.dataset import make_dataset

BASE = {"space": "toy", "searcher": "random"}


class Size(BaseModel):
    size: int = 8


class Rooted(Size):
    root: str | None = None


class Recorded:
    """Keeps what it was made with."""

    def __init__(self, *, root="nowhere", **settings):
        self.made_with = {"root": root, **settings}


def swallow(**settings):
    return settings


@pytest.fixture
def made(registry):
    """Register a factory as the dataset, and make it with some keys."""

    def make(factory, model=None, **keys):
        known = registry.adding("dataset", "mine", factory, parameters=model)
        configuration = resolve({**BASE, "dataset": "mine", **keys}, known)
        return make_dataset(configuration, known)

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
    assert make_dataset(configuration, registry).path.parent.name == "scans"
