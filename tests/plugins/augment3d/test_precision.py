"""Coordinates and intensities are never lowered, and draws depend on no default of torch's."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import pytest
import torch

from medpipe_core import Group, Operation, SearchSpace, build_policy, load_plugins
from medpipe_core.supernet import augment_batch
from medpipe_plugins.augment3d import compiled, resample
from medpipe_plugins.blocks3d import BatchNormReLU6, DepthwiseConv3d

REGISTRY = load_plugins()
NAMES = sorted(REGISTRY.names("augmentation"))
SHAPE = (4, 2, 9, 12, 300)  # bfloat16 tells voxels apart up to the 256th


@contextmanager
def default_type(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


WAYS = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "float64 by default": lambda: default_type(torch.float64),
    "bfloat16 by default": lambda: default_type(torch.bfloat16),
}


@pytest.fixture(params=["compiled", "torch's operators"], autouse=True)
def by(request, monkeypatch):
    if request.param != "compiled":
        monkeypatch.setattr(compiled, "has_numba", lambda: False)


@pytest.fixture
def volumes():
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))


def magnitudes(name):
    choices = REGISTRY.factory("augmentation", name).magnitudes()
    return {name: choice.values[-1] for name, choice in choices.items()}


def policy(*names):
    nodes = {
        f"{name}{n}": Operation("augmentation", name, {**magnitudes(name), "p": 0.8})
        for n, name in enumerate(names)
    }
    space = SearchSpace("some", Group(nodes), catalogue=REGISTRY)
    return build_policy(space, space.sample(seed=0))


def augmented(run, volumes, way=nullcontext):
    generator = torch.Generator().manual_seed(3)
    with way():
        return run(volumes, generator)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_gives_the_same_bits_whatever_is_switched_on(name, way, volumes):
    def alone(volumes, generator):
        made = REGISTRY.factory("augmentation", name)()
        return augment_batch(made, volumes, generator, p=0.8, magnitudes=magnitudes(name))

    def directly(volumes, generator):
        made = REGISTRY.factory("augmentation", name)()
        draw = made.draw_for(volumes, generator, **magnitudes(name))
        return made.apply(volumes, *(draw if isinstance(draw, tuple) else (draw,)))

    for run in (alone, directly, policy(name), policy(name, name).layer_by_layer):
        expected, found = augmented(run, volumes), augmented(run, volumes, WAYS[way])
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_policy_gives_the_same_bits_whatever_is_switched_on(way, volumes):
    for run in (policy(*NAMES), policy(*NAMES[::-1], *NAMES)):
        assert torch.equal(augmented(run, volumes, WAYS[way]), augmented(run, volumes))


@pytest.mark.parametrize("way", WAYS)
def test_resampling_and_its_gradient_give_the_same_bits(way, volumes):
    angle = torch.tensor([0.1, 0.2, -0.3, 0.5])
    matrix = torch.eye(3, 4).repeat(4, 1, 1)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos(), -angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin(), angle.cos()
    found = []
    for context in (nullcontext, WAYS[way]):
        given = volumes.clone().requires_grad_()
        with context():
            moved = resample(given, matrix)
        moved.square().sum().backward()
        found.append((moved, given.grad))
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_volumes_of_another_width_are_those_of_single_precision_rounded(name, dtype, volumes):
    volumes = volumes.to(torch.bfloat16).float()  # numbers that all types have
    run = policy(name)
    expected, found = (augmented(run, v).double() for v in (volumes, volumes.to(dtype)))
    assert augmented(run, volumes.to(dtype)).dtype == dtype
    # One rounding, and interpolation between coordinates that float32 has rounded.
    coarse = torch.finfo(dtype if dtype != torch.float64 else torch.float32).eps
    assert (found - expected).abs().max() <= 2 * coarse + 2e-4
    assert (found - expected).abs().mean() <= max(coarse, 3e-6)


@pytest.mark.parametrize("way", ["float64 by default", "bfloat16 by default"])
def test_compiled_blocks_do_not_depend_on_the_default_type(way):
    layers = [torch.nn.Sequential(DepthwiseConv3d(16, 3), BatchNormReLU6(16))]
    layers += [torch.nn.Sequential(DepthwiseConv3d(16, 5, 2), BatchNormReLU6(16))]
    given = torch.rand(3, 16, 12, 13, 14).contiguous(memory_format=torch.channels_last_3d)
    for layer in layers:
        found = []
        for context in (nullcontext, WAYS[way]):
            volumes = given.clone().requires_grad_()
            layer.zero_grad()
            with context():
                out = layer(volumes)
                out.square().sum().backward()
            found.append([out.detach(), volumes.grad, *(p.grad for p in layer.parameters())])
        assert all(map(torch.equal, *found))
