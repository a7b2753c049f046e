"""What a searcher decides and the network that runs it can be copied and sent elsewhere."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from medpipe_core import Decision, ResourceMeter, Supernet, load_plugins


@pytest.fixture(scope="module")
def space():
    return load_plugins().space("medpipe-mbconv3d", channels=[2, 4], depths=[1, 0])


def _pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("travel", [copy.deepcopy, _pickled])
def test_a_copied_decision_has_equal_gates_of_no_graph(travel, space):
    logits = torch.zeros(2, requires_grad=True)
    gates = {"stem/stride": logits.softmax(0).sum()}
    decision = Decision(space.sample(seed=0), gates, network="fixed")
    again = travel(decision)
    assert (again.genotype, again.network) == (decision.genotype, "fixed")
    assert again.gates.keys() == gates.keys()
    gate = again.gates["stem/stride"]
    assert gate == 1.0
    assert gate.is_leaf
    assert gate.requires_grad
    assert travel(Decision(decision.genotype)) == Decision(decision.genotype)


@pytest.mark.parametrize("travel", [copy.deepcopy, _pickled])
def test_a_copied_supernet_gives_the_same_logits(travel, space):
    supernet = Supernet(space, in_channels=1, num_classes=2).eval()
    decision = Decision(space.sample(seed=0))
    volumes = torch.rand(2, 1, 8, 8, 8)
    assert torch.equal(travel(supernet)(volumes, travel(decision)), supernet(volumes, decision))


def test_a_copied_meter_measures_the_same(space):
    meter = ResourceMeter(space, in_channels=1, num_classes=2, size=(8, 8, 8))
    genotype = space.sample(seed=0)
    assert copy.deepcopy(meter)(genotype) == _pickled(meter)(genotype) == meter(genotype)
