"""Shared choices in a supernet: one decision, modules of their own at every place."""

from __future__ import annotations

import pytest
import torch

from medpipe_core import (
    Decision,
    Group,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    ResourceMeter,
    SearchSpace,
    Shared,
    Supernet,
    ValueChoice,
    build_network,
    build_policy,
)


def conv(**parameters):
    return Operation("block", "conv", {"channels": 4, **parameters})


@pytest.fixture
def shared(shelf):
    """A kernel for all, a layer used twice, and that layer repeated."""
    layer = OperationChoice(
        {"conv": conv(kernel=Ref("kernel")), "skip": Operation("block", "skip")}
    )
    noise = Operation(
        "augmentation", "shift", {"p": Ref("p"), "high": ValueChoice(0.1, 0.2)}, neutral={"p": 0.0}
    )
    mirror = Operation("augmentation", "mirror", {"p": Ref("p")})
    root = Group(
        {
            "augment": Shared(
                {"p": ValueChoice(0.0, 1.0)}, Group({"shift": noise, "mirror": mirror})
            ),
            "net": Shared(
                {"kernel": ValueChoice(1, 3), "layer": layer},
                Group(
                    {
                        "stem": conv(kernel=Ref("kernel"), stride=ValueChoice(1, 2)),
                        "first": Ref("layer"),
                        "second": Repeat(Ref("layer"), (1, 2)),
                    }
                ),
            ),
        }
    )
    return SearchSpace("shared", root, catalogue=shelf)


@pytest.fixture
def supernet(shared):
    return Supernet(shared, in_channels=1, num_classes=3, seed=0)


def full(space, **keys):
    """Return the genotype with the last key of each choice, or the given one."""
    keys = {path.replace("__", "/"): key for path, key in keys.items()}
    return space.decide(lambda choice: keys.get(choice.path, choice.keys[-1]))


def test_every_place_has_modules_of_its_own_for_every_value(supernet):
    kernels = ("kernel=1", "kernel=3")
    stems = {f"net/stem,{kernel},stride={stride}" for kernel in kernels for stride in (1, 2)}
    places = ("net/first", "net/second/item1", "net/second/item2")
    convs = {f"{place}/conv,{kernel}" for place in places for kernel in kernels}
    skips = {f"{place}/skip" for place in places}
    assert set(supernet.operations) == stems | convs | skips


def test_a_frozen_path_computes_bit_for_bit_what_the_supernet_does(shared, supernet, volumes):
    supernet.eval()
    for index in range(shared.size()):
        genotype = shared.unrank(index)
        frozen = supernet.freeze(genotype)
        assert torch.equal(frozen(volumes), supernet(volumes, genotype))
        fresh = build_network(shared, genotype, in_channels=1, num_classes=3, seed=0).eval()
        assert torch.equal(fresh(volumes), frozen(volumes))


def test_places_of_one_decision_have_different_weights(shared, supernet):
    frozen = supernet.freeze(full(shared, **{"net/layer": "conv"}))
    one = frozen.get_submodule("net/first/conv,kernel=3")
    other = frozen.get_submodule("net/second/item1/conv,kernel=3")
    assert not torch.equal(one.conv.weight, other.conv.weight)


def test_the_gate_of_a_shared_choice_gets_the_sum_over_its_places(shared, supernet, volumes):
    genotype = full(shared, **{"net/layer": "conv"})
    gate = torch.ones((), requires_grad=True)
    supernet.eval()
    supernet.classify(volumes, Decision(genotype, {"net/kernel": gate})).square().sum().backward()

    # The same path by hand, with a gate for each of the four places.
    gates = torch.ones(4, requires_grad=True)
    features, *blocks = volumes, *supernet.freeze(genotype)
    for number, block in enumerate(blocks[:-1]):
        features = gates[number] * block(features)
    blocks[-1](features).square().sum().backward()
    assert gates.grad.abs().min() > 0
    torch.testing.assert_close(gate.grad, gates.grad.sum())


def test_gates_of_shared_choices_reach_augmentations_too(shared, supernet, volumes):
    gate = torch.ones((), requires_grad=True)
    decision = Decision(full(shared), {"augment/p": gate})
    generator = torch.Generator().manual_seed(0)
    supernet.augment(volumes, decision, generator=generator).sum().backward()
    assert gate.grad != 0
    policy = build_policy(shared, full(shared, augment__p="0"))
    assert [layer.p for layer in policy.layers] == [0.0]  # mirror has no neutral value


def test_a_choice_behind_two_parameters_makes_one_module_a_value(shelf):
    both = conv(kernel=Ref("n"), stride=Ref("n"))
    space = SearchSpace(
        "tied", Shared({"n": ValueChoice(1, 3)}, Group({"x": both})), catalogue=shelf
    )
    supernet = Supernet(space, in_channels=1, num_classes=2)
    assert set(supernet.operations) == {"x,kernel=1,stride=1", "x,kernel=3,stride=3"}


def test_resources_are_those_of_the_frozen_network(shared, supernet):
    meter = ResourceMeter(shared, in_channels=1, num_classes=3, size=(6, 6, 6))
    for seed in range(10):
        genotype = shared.sample(seed=seed)
        frozen = supernet.freeze(genotype)
        assert meter(genotype).parameters == sum(p.numel() for p in frozen.parameters())
