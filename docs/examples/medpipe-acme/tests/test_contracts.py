"""What medpipe asks of each kind of plugin, inherited."""

from types import SimpleNamespace

import pytest
import torch
from medpipe_acme.estimator import Balanced
from medpipe_acme.make_scans import make_scans
from medpipe_acme.scans import Scans

from medpipe_core import load_plugins
from medpipe_core.data import DataError
from medpipe_core.testing import (
    AugmentationContract,
    BlockContract,
    DatasetContract,
    EstimatorContract,
    PluginContract,
    SearcherContract,
    SpaceContract,
)


class TestPlugin(PluginContract):
    plugin = "medpipe_acme"


class TestGamma(AugmentationContract):
    operation = "medpipe_acme.gamma:Gamma"


class TestResidualConv(BlockContract):
    block = "medpipe_acme.block:ResidualConv"
    parameters = {"kernel": 3}


class TestStripes(DatasetContract):
    dataset = "medpipe_acme.dataset:Stripes"
    settings = {"size": 8, "count": 16}


class TestScans(DatasetContract):
    dataset = "medpipe_acme.scans:Scans"

    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        make_scans(tmp_path)
        self.settings = {"root": tmp_path}


def test_a_missing_file_is_told_with_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=f"no file 'scans.npz' in {tmp_path}.*make_scans"):
        _ = Scans(root=tmp_path).card


class TestHillClimb(SearcherContract):
    searcher = "medpipe_acme.searcher:HillClimb"


class TestBalanced(EstimatorContract):
    estimator = "medpipe_acme.estimator:Balanced"
    parameters = {"temperature": 2.0}


def test_a_rare_class_counts_as_much_as_a_common_one():
    class Sure(SimpleNamespace):
        validation = SimpleNamespace(volumes=None, labels=torch.tensor([0, 0, 0, 1]))

        def logits(self, volumes):
            return 50.0 * torch.nn.functional.one_hot(torch.full((4,), self.of), 2)

        def numbers(self, *values):
            return [float(value) for value in values]

    balanced = Balanced(None)
    assert balanced._score(Sure(of=0)) == pytest.approx(1)
    assert balanced._score(Sure(of=1)) == pytest.approx(1)


def small_space():
    return load_plugins().space("acme-small")


class TestSmallSpace(SpaceContract):
    space = small_space


def joint_space():
    return load_plugins().space("acme-joint", channels=[4, 8], augment={"layers": ["noise"]})


class TestJointSpace(SpaceContract):
    space = joint_space


def test_no_policy_of_the_joint_space_uses_too_many_augmentations():
    space = load_plugins().space("acme-joint", active=2)
    for seed in range(20):
        chosen = space.sample(seed=seed).choices
        assert sum(key != "0" for path, key in chosen.items() if path.endswith("/p")) <= 2


def test_gamma_joins_the_papers_space_by_name():
    space = load_plugins().space("medpipe-augment", extra=["acme-gamma"])
    assert space.choices["acme-gamma/low"].values == (0.5, 0.7, 0.9)
