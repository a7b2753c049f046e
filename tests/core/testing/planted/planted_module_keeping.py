"""Blocks that keep what they must not, by shape, and blocks with a layer that is not trained."""

from __future__ import annotations

import torch
from planted_modules import Conv
from torch import nn

from medpipe_core.testing import BlockContract


class CachesByShape(Conv):
    """Keeps for each shape a scale that follows from its weights."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.scales = {}

    def forward(self, volumes):
        scale = self.scales.setdefault(volumes.shape, self.conv.weight.detach().norm())
        return super().forward(volumes) * scale.to(volumes)


class CachesItsGraph(Conv):
    """Keeps for each shape a scale with what led to it."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.scale = nn.Parameter(torch.ones(3))
        self.scales = {}

    def forward(self, volumes):
        after = super().forward(volumes)
        scale = self.scales.setdefault(volumes.shape, self.scale.exp().view(1, 3, 1, 1, 1))
        return after * scale.to(after)


class CachesItsType(Conv):
    """Keeps for each shape a ramp in the type of the volumes that came first."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.ramps = {}

    def forward(self, volumes):
        if volumes.shape not in self.ramps:
            steps = torch.arange(1, volumes.shape[-1] + 1, dtype=volumes.dtype)
            self.ramps[volumes.shape] = 1 / (3 * steps)
        after = super().forward(volumes)
        return after + self.ramps[volumes.shape].to(after)


class CachesVolumesInTraining(Conv):
    """Keeps for each shape the contrast of the volumes that it was trained on first."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.contrasts = {}

    def forward(self, volumes):
        after = super().forward(volumes)
        if not self.training:
            return after
        contrast = self.contrasts.setdefault(volumes.shape, float(volumes.detach().std()))
        return after * (1 + contrast - float(volumes.detach().std()))


class FrozenLayer(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.conv.weight.requires_grad_(False)


class LeftInEvaluation(Conv):
    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


class FrozenOnPurpose(FrozenLayer):
    pass


class TestCachesByShape(BlockContract):
    block = CachesByShape


class TestCachesItsGraph(BlockContract):
    block = CachesItsGraph


class TestCachesItsType(BlockContract):
    block = CachesItsType


class TestCachesVolumesInTraining(BlockContract):
    block = CachesVolumesInTraining


class TestFrozenLayer(BlockContract):
    block = FrozenLayer


class TestLeftInEvaluation(BlockContract):
    block = LeftInEvaluation


class TestFrozenOnPurpose(BlockContract):
    block = FrozenOnPurpose
    idle_parameters = ("conv.weight",)
