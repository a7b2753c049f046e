"""The paper's joint space, bound to modules at small widths."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import medpipe_core as mp

NARROW = {"stem_channels": 2, "channels": [2, 3, 4, 5, 6, 7]}


@pytest.fixture(scope="module")
def joint():
    return mp.load_plugins().space("medpipe-joint", network=NARROW)


@pytest.fixture(scope="module")
def supernet(joint):
    return mp.Supernet(joint, in_channels=1, num_classes=3, seed=1)


def volumes():
    return torch.rand(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def strided(joint, seed):
    """A sampled genotype that keeps the volumes small."""
    sampled = joint.sample(seed=seed).choices
    return joint.genotype({p: "2" if p.endswith("/stride") else k for p, k in sampled.items()})


def test_a_step_runs_no_operation_of_an_unsampled_candidate(joint, supernet):
    genotype = strided(joint, 0)
    ran = Counter()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.update([name]))
        for name, module in supernet.operations.items()
    ]
    gates = {path: torch.ones((), requires_grad=True) for path in genotype}
    supernet.train().zero_grad()
    supernet(volumes(), mp.Decision(genotype, gates)).logsumexp(1).sum().backward()
    for hook in hooks:
        hook.remove()
    assert len(supernet.operations) == 7 * 2 + 21 * 8
    assert len(ran) == 7 + 21
    assert set(ran.values()) == {1}
    for name, module in supernet.operations.items():
        assert (name in ran) or all(p.grad is None for p in module.parameters())
    assert all(gate.grad is not None for path, gate in gates.items() if "layer" in path)


def test_a_frozen_path_computes_bit_for_bit_what_the_supernet_does(joint, supernet):
    supernet.eval()
    for seed in range(4):
        genotype = strided(joint, seed)
        frozen = supernet.freeze(genotype).eval()
        with torch.no_grad():
            assert torch.equal(frozen(volumes()), supernet(volumes(), genotype))


def test_the_paper_sized_network_has_the_parameters_of_its_formula():
    space = mp.load_plugins().space("medpipe-mbconv3d")
    genotype = space.decide(lambda c: "mbconv_k3_e6" if c.kind == "operation" else "2")
    cost = mp.resources(space, genotype, in_channels=1, num_classes=2, size=(28, 28, 28))
    channels, depths = [32, 48, 64, 96, 160, 320], [4, 4, 4, 4, 4, 1]
    total, before = 32 * 27 + 2 * 32, 32
    for c, depth in zip(channels, depths, strict=True):
        total += before * c * 27 + 2 * c
        inner = 6 * c
        total += depth * (c * inner + inner * 27 + inner * c + 2 * (inner + inner + c))
        before = c
    assert cost.parameters == total + 320 * 2 + 2


def test_the_paper_sized_supernet_is_priced_without_being_built():
    space = mp.load_plugins().space("medpipe-joint")
    meter = mp.ResourceMeter(space, in_channels=1, num_classes=2, size=(512, 512, 512))
    assert meter(space.sample(seed=0)).multiply_adds > 10**12
