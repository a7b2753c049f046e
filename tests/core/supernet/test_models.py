"""A space whose network is a registered model, whole, in place of blocks and a head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import medpipe_core as mp
from medpipe_core.supernet import BindingError

SHAPE = {"in_channels": 1, "num_classes": 3}


class Net(nn.Module):
    def __init__(self, *, in_channels, num_classes, width=2):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, width, 3)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, volumes):
        return self.linear(self.conv(volumes).relu().mean((2, 3, 4)))


def deep(*, in_channels, num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


@pytest.fixture
def catalogue(shelf):
    models = {"net": Net, "deep": deep}

    class WithModels(type(shelf)):
        def factory(self, kind, name):
            return models[name] if kind == "model" else super().factory(kind, name)

    return WithModels()


def space_of(catalogue, network, **parts):
    return mp.SearchSpace("mine", mp.Group({**parts, "network": network}), catalogue=catalogue)


WIDTH = mp.Operation("model", "net", {"width": mp.ValueChoice(2, 4)})
MIRROR = mp.Operation("augmentation", "mirror", {"p": mp.ValueChoice(0.0, 0.5)})


@pytest.fixture
def space(catalogue):
    return space_of(catalogue, WIDTH, mirror=MIRROR)


def test_a_model_runs_without_a_head(space):
    supernet = mp.Supernet(space, **SHAPE).eval()
    volumes = torch.rand(2, 1, 5, 5, 5)
    for genotype in (space.sample(seed=s) for s in range(6)):
        logits = supernet(volumes, genotype)
        width = space.value(genotype, "network/width")
        (model,) = (m for m in supernet.freeze(genotype).modules() if isinstance(m, Net))
        assert model.conv.out_channels == width
        assert logits.equal(model(volumes))
        assert logits.shape == (2, 3)


def test_what_is_built_has_the_supernets_first_weights(space):
    genotype = space.sample(seed=1)
    frozen = mp.Supernet(space, seed=5, **SHAPE).freeze(genotype).state_dict()
    built = mp.build_network(space, genotype, seed=5, **SHAPE).state_dict()
    assert frozen.keys() == built.keys()
    assert all(frozen[name].equal(built[name]) for name in built)


def test_what_a_model_costs_is_measured_without_a_head(space):
    meter = mp.ResourceMeter(space, size=(5, 5, 5), **SHAPE)
    genotype = space.sample(seed=1)
    width = space.value(genotype, "network/width")
    assert meter(genotype).parameters == 27 * width + width + 3 * width + 3


def test_a_path_of_a_model_trains_that_model_alone(space):
    supernet = mp.Supernet(space, **SHAPE)
    genotype = space.sample(seed=1)
    supernet(torch.rand(2, 1, 5, 5, 5), genotype).sum().backward()
    reached = {id(p) for p in supernet.parameters() if p.grad is not None}
    assert reached == {id(p) for p in supernet.parameters_of(genotype)}


def test_models_may_be_candidates_of_one_choice(catalogue):
    choice = mp.OperationChoice(
        {"small": mp.Operation("model", "net", {"width": 2}), "wide": WIDTH}
    )
    space = space_of(catalogue, choice)
    assert space.size() == 3
    supernet = mp.Supernet(space, **SHAPE).eval()
    assert supernet(torch.rand(2, 1, 5, 5, 5), space.sample(seed=0)).shape == (2, 3)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (mp.Group({"a": WIDTH, "b": WIDTH}), "several models in a row: network/a, network/b"),
        (
            mp.Group({"a": mp.Operation("block", "skip"), "b": WIDTH}),
            "has models and blocks",
        ),
        (mp.Operation("model", "net", {"depth": 3}), "model 'net' of .* refused .*depth"),
    ],
)
def test_what_a_model_cannot_be_part_of_is_told(catalogue, network, reason):
    with pytest.raises(BindingError, match=reason):
        mp.Supernet(space_of(catalogue, network), **SHAPE)
