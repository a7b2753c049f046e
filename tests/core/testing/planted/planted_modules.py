"""A good block and a good model, and others that each have one bug."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from medpipe_core import widths
from medpipe_core.testing import BlockContract, ModelContract


class Conv(nn.Module):
    def __init__(self, in_channels, *, channels=3):
        super().__init__()
        self.out_channels = channels
        self.conv = nn.Conv3d(in_channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, volumes):
        return torch.relu(self.norm(self.conv(volumes)))


@widths("channels")
class EvenOnly(Conv):
    def __init__(self, in_channels, *, channels=4):
        if channels % 2:
            raise ValueError("an even number of channels is needed")
        super().__init__(in_channels, channels=channels)


class TestEvenOnly(BlockContract):
    block = EvenOnly


class LyingChannels(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.out_channels = in_channels


class Unpadded(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.conv = nn.Conv3d(in_channels, 3, 3, padding=(1, 1, 0))


class HiddenState(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.level = torch.zeros(())

    def forward(self, volumes):
        if self.training:
            self.level = 0.9 * self.level + 0.1 * volumes.detach().mean()
        return super().forward(volumes - self.level.to(volumes))


class WritesInput(Conv):
    def forward(self, volumes):
        return super().forward(nn.functional.hardtanh(volumes, 0.2, 0.8, inplace=True))


class UnusedLayer(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.second = nn.Conv3d(3, 3, 1)


class CutGradient(Conv):
    def forward(self, volumes):
        return super().forward(volumes.detach())


class BatchStatistics(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.norm = nn.BatchNorm3d(3, track_running_stats=False)


class AlwaysDrops(Conv):
    def forward(self, volumes):
        return nn.functional.dropout(super().forward(volumes), 0.5, training=True)


class NumpyWeights(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        drawn = np.random.rand()  # noqa: NPY002
        self.scale = nn.Parameter(torch.tensor(drawn, dtype=torch.float32))

    def forward(self, volumes):
        return self.scale * super().forward(volumes)


class LooksAtValues(Conv):
    def forward(self, volumes):
        return super().forward(volumes if volumes.mean() < 9 else volumes / 9)


class Single(Conv):
    def forward(self, volumes):
        return super().forward(volumes.to(self.conv.weight.dtype)).float()


class Network(nn.Sequential):
    def __init__(self, *, in_channels, num_classes):
        pool = (nn.AdaptiveAvgPool3d(1), nn.Flatten())
        super().__init__(Conv(in_channels), *pool, nn.Linear(3, num_classes))


class Unpooled(nn.Sequential):
    def __init__(self, *, in_channels, num_classes):
        super().__init__(Conv(in_channels, channels=num_classes))


class TestConv(BlockContract):
    block = Conv
    parameters = {"channels": 5}


class TestLyingChannels(BlockContract):
    block = LyingChannels


class TestUnpadded(BlockContract):
    block = Unpadded


class TestHiddenState(BlockContract):
    block = HiddenState


class TestWritesInput(BlockContract):
    block = WritesInput


class TestUnusedLayer(BlockContract):
    block = UnusedLayer


class TestCutGradient(BlockContract):
    block = CutGradient


class TestBatchStatistics(BlockContract):
    block = BatchStatistics


class TestAlwaysDrops(BlockContract):
    block = AlwaysDrops


class TestNumpyWeights(BlockContract):
    block = NumpyWeights


class TestLooksAtValues(BlockContract):
    block = LooksAtValues


class TestSingle(BlockContract):
    block = Single


class TestNetwork(ModelContract):
    model = Network
    sizes = ((6, 7, 8),)


class TestUnpooled(ModelContract):
    model = Unpooled
    sizes = ((6, 7, 8),)
