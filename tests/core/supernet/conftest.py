"""A small space with blocks and augmentations that count how often they run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from medpipe_core import Augmentation, Group, Operation, OperationChoice, SearchSpace, ValueChoice


class Conv(nn.Module):
    def __init__(self, in_channels, *, channels, kernel=3, stride=1):
        super().__init__()
        self.out_channels = channels
        self.conv = nn.Conv3d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Skip(nn.Identity):
    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = in_channels


class Shift(Augmentation):
    """Adds a number drawn from [0, high]."""

    high = ValueChoice(0.1, 0.2)

    def draw(self, count, generator, *, high):
        return torch.rand(count, generator=generator) * high

    def apply(self, volumes, amount):
        return volumes + amount.view(-1, 1, 1, 1, 1)


class Mirror(Augmentation):
    def draw(self, count, generator):
        return ()

    def apply(self, volumes):
        return volumes.flip(-1)


@dataclass
class Shelf:
    """A catalogue of a few operations."""

    blocks: dict = field(default_factory=lambda: {"conv": Conv, "skip": Skip})
    augmentations: dict = field(default_factory=lambda: {"shift": Shift, "mirror": Mirror})

    def factory(self, kind, name):
        return {"block": self.blocks, "augmentation": self.augmentations}[kind][name]

    def origin(self, kind, name):
        return ("shelf", "1.0")

    def versions(self):
        return {"shelf": "1.0"}


def layer():
    return OperationChoice(
        {
            "k1": Operation("block", "conv", {"channels": 4, "kernel": 1}),
            "k3": Operation("block", "conv", {"channels": 4, "kernel": 3}),
            "skip": Operation("block", "skip"),
        }
    )


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def space(shelf):
    p = ValueChoice(0.0, 0.5, 1.0)
    root = Group(
        {
            "augment": Group(
                {
                    "shift": Operation(
                        "augmentation",
                        "shift",
                        {"p": p, "high": ValueChoice(0.1, 0.2)},
                        neutral={"p": 0.0},
                    ),
                    "mirror": Operation("augmentation", "mirror", {"p": p}, neutral={"p": 0.0}),
                }
            ),
            "network": Group(
                {
                    "stem": Operation(
                        "block", "conv", {"channels": 4, "stride": ValueChoice(1, 2)}
                    ),
                    "layer1": layer(),
                    "layer2": layer(),
                }
            ),
        }
    )
    return SearchSpace("tiny", root, catalogue=shelf)


@pytest.fixture
def volumes():
    return torch.rand(4, 1, 6, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def count_calls():
    """Return a function that counts the forward passes of every submodule of a module dict."""

    def count(modules):
        calls = Counter()
        for name, module in modules.items():
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
        return calls

    return count
