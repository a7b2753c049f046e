"""What an operation raises while it runs is told with its name, its plugin and the line."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from medpipe_core import (
    Augmentation,
    Decision,
    Fusion,
    Group,
    Operation,
    SearchSpace,
    Supernet,
    build_network,
    build_policy,
)
from medpipe_core.errors import MedpipeError, OperationError
from medpipe_core.supernet import AugmentationError, BindingError, ResourceMeter, blocks_named


def lookup():
    return {}["missing"]


def misshape():
    return torch.zeros(2) + torch.zeros(3)


def leave():
    sys.exit("good bye")


def refuse():
    raise MedpipeError("no such magnitude")


FAULTS = {
    lookup: r"KeyError: 'missing' \(at .*test_failing\.py:\d+\)",
    misshape: r"RuntimeError: The size of tensor a .* \(at .*test_failing\.py:\d+\)",
    leave: r"SystemExit: good bye \(at .*test_failing\.py:\d+\)",
    refuse: r"no such magnitude",
}


class Faulty(nn.Module):
    fault = staticmethod(lookup)

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = in_channels
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, features):
        self.fault()
        return features * self.weight


class FaultyBackward(Faulty):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features):
            return features.view_as(features)

        @staticmethod
        def backward(ctx, gradient):
            return lookup()

    def forward(self, features):
        return self.Function.apply(features * self.weight)


def network_of(shelf, kind):
    shelf.blocks["faulty"] = kind
    root = Group(
        {
            "stem": Operation("block", "conv", {"channels": 4}),
            "bad": Operation("block", "faulty", {}),
        }
    )
    space = SearchSpace("faulty", root, catalogue=shelf)
    return space, space.sample(seed=0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_block_that_fails_is_named_with_its_plugin_and_the_authors_line(shelf, volumes, fault):
    space, genotype = network_of(shelf, type("Mine", (Faulty,), {"fault": staticmethod(fault)}))
    net = Supernet(space, in_channels=1, num_classes=2)
    frozen = net.freeze(genotype)
    with pytest.raises(OperationError) as searched:
        net.classify(volumes, Decision(genotype))
    with pytest.raises(OperationError) as trained, blocks_named(frozen, space, genotype):
        frozen(volumes)
    for caught in (searched, trained):
        assert caught.match(f"^bad: block 'faulty' of shelf 1.0 failed: .*{FAULTS[fault]}")


class Nested(nn.Module):
    """A block or model that is made of parts, one of which fails."""

    def __init__(self, in_channels, num_classes=0):
        super().__init__()
        self.out_channels = in_channels
        self.layers = nn.Sequential(nn.Identity(), Faulty(in_channels))

    def forward(self, features):
        return self.layers(features)


def test_the_part_of_a_block_that_fails_is_named(shelf, volumes):
    space, genotype = network_of(shelf, Nested)
    net = Supernet(space, in_channels=1, num_classes=2)
    frozen = net.freeze(genotype)
    with pytest.raises(OperationError) as searched:
        net.classify(volumes, Decision(genotype))
    with pytest.raises(OperationError) as trained, blocks_named(frozen, space, genotype):
        frozen(volumes)
    for caught in (searched, trained):
        assert caught.match(r"^bad/layers/1: block 'faulty' of shelf 1.0 failed")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("known", [True, False])
def test_a_fixed_network_that_fails_is_named_with_its_plugin_and_part(
    shelf, space, volumes, fault, known, monkeypatch
):
    if not known:
        real = shelf.origin
        monkeypatch.setattr(
            shelf, "origin", lambda kind, name: refuse() if kind == "model" else real(kind, name)
        )
    network = Nested(1)
    network.layers[1].fault = fault
    net = Supernet(space, in_channels=1, num_classes=2, fixed={"mean-2.5d": network})
    with pytest.raises(OperationError) as caught:
        net.classify(volumes, Decision(space.sample(seed=0), network="mean-2.5d"))
    who = "model 'mean-2.5d'" + (" of shelf 1.0" if known else "")
    assert caught.match(f"^mean-2.5d/layers/1: {who} failed: .*{FAULTS[fault]}")


def test_memory_that_runs_out_in_a_fixed_network_goes_on_as_it_is(shelf, space, volumes):
    def stop():
        raise MemoryError

    network = Nested(1)
    network.layers[1].fault = stop
    net = Supernet(space, in_channels=1, num_classes=2, fixed={"mean-2.5d": network})
    with pytest.raises(MemoryError):
        net.classify(volumes, Decision(space.sample(seed=0), network="mean-2.5d"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, MemoryError])
def test_what_is_not_the_operations_fault_goes_on_as_it_is(shelf, volumes, error):
    def stop():
        raise error

    space, genotype = network_of(shelf, type("Mine", (Faulty,), {"fault": staticmethod(stop)}))
    net = Supernet(space, in_channels=1, num_classes=2)
    with pytest.raises(error):
        net.classify(volumes, Decision(genotype))
    frozen = net.freeze(genotype)
    with pytest.raises(error), blocks_named(frozen, space, genotype):
        frozen(volumes)
    policy = policy_of(shelf, type("Stops", (Faults,), {"apply": lambda *_: stop()}))
    with pytest.raises(error):
        policy(volumes, torch.Generator())


def test_a_backward_pass_that_fails_is_the_operations_too(shelf, volumes):
    space, genotype = network_of(shelf, FaultyBackward)
    frozen = build_network(space, genotype, in_channels=1, num_classes=2)
    loss = frozen(volumes).sum()
    with pytest.raises(OperationError) as caught, blocks_named(frozen, space, genotype):
        loss.backward()
    assert caught.match(r"backward pass .* KeyError: 'missing' \(at .*test_failing\.py:\d+\)")


def test_an_error_that_comes_out_of_no_block_is_not_laid_at_ones_door(shelf, space):
    genotype = space.sample(seed=0)
    network = build_network(space, genotype, in_channels=1, num_classes=2)
    with pytest.raises(KeyError), blocks_named(network, space, genotype):
        lookup()


class Faults(Augmentation):
    def draw(self, count, generator):
        return ()

    def apply(self, volumes):
        return volumes


def policy_of(shelf, kind):
    shelf.augmentations["faulty"] = kind
    node = Group({"x": Operation("augmentation", "faulty", {"p": 1.0})})
    space = SearchSpace("faulty", node, catalogue=shelf)
    return build_policy(space, space.sample(seed=0))


@pytest.mark.parametrize("where", ["draw", "apply", "join", "result", "fusion"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_augmentation_is_named_wherever_it_fails(shelf, volumes, where, fault):
    def failing(*_):
        fault()

    class Fused(Fusion):
        def __init__(self, volumes):
            super().__init__(volumes)
            if where == "fusion":
                fault()

        def result(self):
            return fault() if where == "result" else self.volumes

    fused = where in ("join", "result", "fusion")
    members = {"fusion": Fused, "join": lambda *_: None} if fused else {}
    if where in ("draw", "apply", "join"):
        members[where] = failing
    policy = policy_of(shelf, type("Mine", (Faults,), members))
    with pytest.raises(AugmentationError) as caught:
        policy(volumes, torch.Generator())
    assert isinstance(caught.value, OperationError)
    assert caught.match(f"^x: augmentation 'faulty' of shelf 1.0: .*{FAULTS[fault]}")


def test_the_line_named_is_the_authors_and_not_that_of_a_base_class(shelf, volumes):
    """The bundle calls the author's method; the bundle's own lines are not where to look."""
    from medpipe_plugins.augment3d import Warp3D

    class Mine(Warp3D):
        def draw(self, count, generator):
            return ()

        def matrix(self, volumes):
            return lookup()

    with pytest.raises(AugmentationError) as caught:
        policy_of(shelf, Mine)(volumes, torch.Generator())
    assert caught.match(r"KeyError: 'missing' \(at .*test_failing\.py:\d+\)")


@pytest.mark.parametrize("fault", [lookup, leave])
def test_a_constructor_that_fails_is_named_where_the_space_is_bound(shelf, fault):
    class Unmade(Faulty):
        def __init__(self, in_channels):
            fault()

    space, genotype = network_of(shelf, Unmade)
    words = {"in_channels": 1, "num_classes": 2}
    for bind in (
        lambda: Supernet(space, **words),
        lambda: build_network(space, genotype, **words),
        lambda: ResourceMeter(space, size=(6, 6, 6), **words)(genotype),
    ):
        with pytest.raises(BindingError, match=f"block 'faulty' of shelf 1.0 .*{FAULTS[fault]}"):
            bind()


def test_a_block_that_leaves_while_it_is_measured_is_named(shelf):
    space, genotype = network_of(shelf, type("Mine", (Faulty,), {"fault": staticmethod(leave)}))
    meter = ResourceMeter(space, in_channels=1, num_classes=2, size=(6, 6, 6))
    with pytest.raises(BindingError, match=r"bad: block 'faulty' .*good bye"):
        meter(genotype)


def test_the_layer_of_a_policy_that_makes_what_is_not_finite_is_found_again(shelf, volumes):
    class Poison(Faults):
        def draw(self, count, generator):
            return torch.rand(count, generator=generator)

        def apply(self, volumes, drawn):
            return volumes / (drawn > 0.5).view(-1, 1, 1, 1, 1)

    policy = policy_of(shelf, Poison)
    generator = torch.Generator().manual_seed(0)
    drawn = generator.get_state()
    assert not policy(volumes, generator).isfinite().all()
    found = policy.not_finite_from(volumes, drawn)
    assert found == "augmentation 'faulty' of shelf 1.0 (x) made values that are not finite"
    assert policy_of(shelf, Faults).not_finite_from(volumes, drawn) == ""
