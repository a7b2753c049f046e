"""The contract of blocks asks nothing that right blocks of many kinds cannot keep."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from medpipe_core.testing import BlockContract


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.heads = nn.MultiheadAttention(channels, 2, dropout=0.3, batch_first=True)

    def forward(self, features):
        tokens = features.flatten(2).transpose(1, 2)
        found, _ = self.heads(tokens, tokens, tokens, need_weights=False)
        return found.transpose(1, 2).reshape(features.shape)


class DropPath(nn.Module):
    """Drops by uniform numbers, so that no mean can stand for what it draws."""

    def forward(self, features):
        if not self.training:
            return features
        drawn = torch.rand(len(features), 1, 1, 1, 1, dtype=features.dtype)
        return features * (0.8 + drawn).floor() / 0.8


class FromZero(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(channels))

    def forward(self, features):
        return features * self.gain.view(1, -1, 1, 1, 1)


class RunningMean(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))

    def forward(self, features):
        mean = features.mean((0, 2, 3, 4))
        if self.training:
            self.mean.lerp_(mean.detach().to(self.mean), 0.1)
        else:
            mean = self.mean.to(features)
        return features - mean.view(1, -1, 1, 1, 1)


NORM = nn.utils.parametrizations
LAYERS = {
    "group norm": lambda channels: nn.GroupNorm(2, channels),
    "cumulative batch norm": lambda channels: nn.BatchNorm3d(channels, momentum=None),
    "spectral norm": lambda channels: NORM.spectral_norm(nn.Conv3d(channels, channels, 1)),
    "weight norm": lambda channels: NORM.weight_norm(nn.Conv3d(channels, channels, 1)),
    "alpha dropout": lambda _: nn.AlphaDropout(0.3),
    "running mean": RunningMean,
    "attention": Attention,
    "gain from zero": FromZero,
    "drop path": lambda channels: nn.Sequential(nn.BatchNorm3d(channels), DropPath()),
    "random slope": lambda _: nn.RReLU(),
}
DRAWING = {"drop path", "random slope"}
TESTS = [name for name, _ in inspect.getmembers(BlockContract, callable) if name.startswith("test")]


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_a_right_block_keeps_its_contract(layer):
    class Block(nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            self.out_channels = in_channels
            self.conv = nn.Conv3d(in_channels, in_channels, 3, padding=1)
            self.layer = LAYERS[layer](in_channels)

        def forward(self, volumes):
            return volumes + self.layer(self.conv(volumes))

    contract = type(
        "TestIt", (BlockContract,), {"block": Block, "random_in_training": layer in DRAWING}
    )
    for test in TESTS:
        try:
            getattr(contract(), test)()
        except pytest.skip.Exception:
            continue
