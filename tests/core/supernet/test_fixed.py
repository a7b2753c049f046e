"""Fixed networks that a decision runs in place of its path's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medpipe_core import Decision, Supernet
from medpipe_core.supernet import BindingError


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 2)

    def forward(self, x):
        return self.linear(x.flatten(2).mean(-1))


@pytest.fixture
def network():
    return Mean()


@pytest.fixture
def supernet(space, network):
    return Supernet(space, in_channels=1, num_classes=2, fixed={"mean-2.5d": network})


@pytest.fixture
def active(space):
    choices = dict(space.sample(seed=0).choices)
    return space.genotype({**choices, "augment/shift/p": "1", "augment/mirror/p": "1"})


def test_it_runs_in_place_of_the_paths_network_and_alone_gets_gradients(
    supernet, network, active, volumes, count_calls
):
    calls = count_calls({**supernet.operations, "head": supernet.head})
    decision = Decision(active, network="mean-2.5d")
    supernet.eval()
    assert torch.equal(supernet(volumes, decision), network(volumes))
    supernet(volumes, decision).sum().backward()
    assert not calls
    reached = {w for w in supernet.parameters() if w.grad is not None}
    assert reached == set(supernet.parameters_of(decision)) == set(network.parameters())


def test_the_paths_augmentations_act_and_their_gates_get_gradients(supernet, active, volumes):
    gates = {path: torch.ones((), requires_grad=True) for path in active}
    decision = Decision(active, gates, "mean-2.5d")
    supernet.train()
    logits = supernet(volumes, decision, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(logits, supernet.classify(volumes, decision))
    logits.sum().backward()
    reached = {path for path, gate in gates.items() if gate.grad is not None}
    assert reached == {path for path in active if path.startswith("augment/")}


def test_its_weights_are_part_of_the_supernets_state(space, supernet, network):
    other = Supernet(space, in_channels=1, num_classes=2, seed=1, fixed={"mean-2.5d": Mean()})
    other.load_state_dict(supernet.state_dict())
    decision = Decision(space.sample(seed=0), network="mean-2.5d")
    for mine, theirs in zip(other.parameters_of(decision), network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_path_and_its_frozen_network_know_nothing_of_it(space, supernet, network):
    genotype = space.sample(seed=0)
    assert set(supernet.parameters_of(genotype)).isdisjoint(network.parameters())
    plain = Supernet(space, in_channels=1, num_classes=2)
    frozen = supernet.freeze(genotype).state_dict()
    assert all(torch.equal(v, frozen[k]) for k, v in plain.freeze(genotype).state_dict().items())


def test_one_that_is_not_there_is_refused(supernet, active, volumes):
    with pytest.raises(BindingError, match="'mean-3d', which this supernet does not have"):
        supernet(volumes, Decision(active, network="mean-3d"))


def test_without_its_gates_a_decision_names_the_same_network(active):
    decision = Decision(active, {"augment/shift/p": torch.ones(())}, "mean-2.5d")
    assert decision.detached() == Decision(active, {}, "mean-2.5d")
