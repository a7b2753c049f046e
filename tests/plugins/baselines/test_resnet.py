from __future__ import annotations

import inspect
import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn

from medpipe_core import load_plugins
from medpipe_core.seeding import seeded_init
from medpipe_plugins.baselines.resnet import ACSConv3d, resnet18_3d, resnet18_25d, resnet18_acs
from medpipe_plugins.baselines.settings import ResNetSettings


def made(factory, **parameters):
    with seeded_init(0):
        return factory(**{"in_channels": 1, "num_classes": 2, "width": 4, **parameters}).eval()


def weights(network):
    return sum(parameter.numel() for parameter in network.parameters())


def of_resnet18(channels, classes, taps):
    """Count the weights of a ResNet18 of width 64 whose kernels of 3 have so many taps."""
    widths = (64, 64, 128, 256, 512)
    stem = channels * 64 * taps + 2 * 64
    blocks = 0
    for before, after in itertools.pairwise(widths):
        blocks += (before * after + 3 * after * after) * taps + 8 * after
        blocks += before * after + 2 * after if before != after else 0
    return stem + blocks + 512 * classes + classes


@pytest.mark.parametrize(
    ("factory", "taps"), [(resnet18_3d, 27), (resnet18_25d, 9), (resnet18_acs, 9)]
)
def test_it_has_the_weights_of_a_resnet18(factory, taps):
    network = made(factory, in_channels=3, num_classes=10, width=64)
    assert weights(network) == of_resnet18(3, 10, taps)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    per_layer = 3 if factory is resnet18_acs else 1
    assert len(convolutions) == per_layer * (1 + 4 * 4 + 3)


def test_2d_and_half_looks_at_every_eighth_slice_by_itself():
    network = made(resnet18_25d)
    volumes = torch.rand(1, 1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(volumes)
    changed = {}
    for depth in range(16):
        other = volumes.clone()
        other[:, :, depth] = 1 - other[:, :, depth]
        changed[depth] = not torch.equal(network(other), before)
    assert [depth for depth, moved in changed.items() if moved] == [0, 8]
    assert torch.allclose(network(volumes.roll(8, 2)), before, atol=1e-6)


@pytest.mark.parametrize("factory", [resnet18_3d, resnet18_acs])
def test_the_others_see_along_all_axes(factory):
    network = made(factory)
    volumes = torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(volumes)
    for axis in (2, 3, 4):
        other = volumes.clone()
        other.select(axis, 3).zero_()
        assert not torch.equal(network(other), before)


@pytest.mark.parametrize("channels", [3, 4, 5, 64])
def test_three_planes_share_the_channels(channels):
    layer = ACSConv3d(2, channels, 3, 2)
    shares = [plane.out_channels for plane in layer.planes]
    assert sum(shares) == channels
    assert max(shares) - min(shares) <= 1
    assert layer(torch.zeros(1, 2, 4, 5, 6)).shape == (1, channels, 2, 3, 3)


def test_a_plane_sees_nothing_across_it():
    layer = ACSConv3d(1, 3, 3, 1)
    volumes = torch.zeros(1, 1, 5, 5, 5)
    volumes[0, 0, 2, 2, 2] = 1
    for channel, axis in enumerate((0, 1, 2)):
        touched = layer(volumes)[0, channel].nonzero()
        assert set(touched[:, axis].tolist()) == {2}
        assert all(set(touched[:, other].tolist()) == {1, 2, 3} for other in {0, 1, 2} - {axis})


@pytest.mark.parametrize("name", ["resnet18-3d", "resnet18-2.5d", "resnet18-acs"])
def test_the_settings_are_the_factorys_defaults(name):
    entry = load_plugins().entry("model", name)
    assert entry.parameters() is ResNetSettings
    taken = inspect.signature(entry.load()).parameters
    defaults = {k: p.default for k, p in taken.items() if p.default is not p.empty}
    assert ResNetSettings().model_dump() == defaults


def test_reading_the_settings_waits_for_no_torch():
    program = (
        "import sys, medpipe_core\n"
        "registry = medpipe_core.load_plugins()\n"
        "registry.entry('model', 'resnet18-2.5d').parameters()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
