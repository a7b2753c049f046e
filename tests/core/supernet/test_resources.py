from __future__ import annotations

import pytest
import torch

from medpipe_core import Budget, ResourceMeter, SearchSpace, build_network, resources
from medpipe_core.supernet import BindingError


def choose(space, **changes):
    return space.genotype({**space.sample(seed=0).choices, **changes})


def test_parameters_are_those_of_the_built_network(space):
    for seed in range(6):
        genotype = space.sample(seed=seed)
        network = build_network(space, genotype, in_channels=1, num_classes=2)
        cost = resources(space, genotype, in_channels=1, num_classes=2, size=(6, 6, 6))
        assert cost.parameters == sum(p.numel() for p in network.parameters())


def test_multiply_adds_are_counted_by_the_definition_of_a_convolution(space):
    genotype = choose(
        space, **{"network/stem/stride": "2", "network/layer1": "k1", "network/layer2": "skip"}
    )
    cost = resources(space, genotype, in_channels=1, num_classes=2, size=(8, 8, 8))
    stem, layer, head = 4 * 27 * 4**3, 4 * 4 * 4**3, 4 * 2
    assert cost.multiply_adds == stem + layer + head


def test_measuring_takes_no_random_numbers_and_many_genotypes_share_their_blocks(space):
    meter = ResourceMeter(space, in_channels=1, num_classes=2, size=(6, 6, 6))
    before = torch.get_rng_state()
    for seed in range(30):
        meter(space.sample(seed=seed))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(meter._known) <= 2 + 2 * 2 * 3 + 2


def test_a_budget_admits_what_keeps_it(space):
    small = choose(space, **{"network/layer1": "skip", "network/layer2": "skip"})
    large = choose(space, **{"network/layer1": "k3", "network/layer2": "k3"})
    tight = SearchSpace("t", space.root, budget=Budget(parameters=200), catalogue=space.catalogue)
    meter = ResourceMeter(tight, in_channels=1, num_classes=2, size=(6, 6, 6))
    assert meter.admits(tight.genotype(small.choices))
    assert not meter.admits(tight.genotype(large.choices))
    loose = ResourceMeter(space, in_channels=1, num_classes=2, size=(6, 6, 6))
    assert loose.admits(large)


def test_a_block_that_cannot_take_its_input_is_named_by_path(space):
    with pytest.raises(BindingError, match="network/stem: block 'conv' cannot take volumes"):
        resources(space, space.sample(seed=0), in_channels=1, num_classes=2, size=(6,))
