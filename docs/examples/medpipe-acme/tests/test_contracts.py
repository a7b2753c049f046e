"""What medpipe asks of each kind of plugin, inherited."""

from medpipe_core import load_plugins
from medpipe_core.testing import (
    AugmentationContract,
    BlockContract,
    DatasetContract,
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


class TestHillClimb(SearcherContract):
    searcher = "medpipe_acme.searcher:HillClimb"


def small_space():
    return load_plugins().space("acme-small")


class TestSmallSpace(SpaceContract):
    space = small_space


def test_gamma_joins_the_papers_space_by_name():
    space = load_plugins().space("medpipe-augment", extra=["acme-gamma"])
    assert space.choices["acme-gamma/low"].values == (0.5, 0.7, 0.9)
