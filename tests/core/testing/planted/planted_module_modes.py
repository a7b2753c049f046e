"""Good blocks with dropout and noise, and others with bugs of modes, seeds, copies and values."""

from __future__ import annotations

import numpy as np
import torch
from planted_modules import Conv, Network
from torch import nn

from medpipe_core import ValueChoice
from medpipe_core.testing import BlockContract, ModelContract


class Residual(Conv):
    """x + dropped path of a convolution with dropout, of declared kernels."""

    kernel = ValueChoice(1, 3)

    def __init__(self, in_channels, *, kernel=3):
        super().__init__(in_channels, channels=in_channels)
        self.conv = nn.Conv3d(in_channels, in_channels, kernel, padding=kernel // 2, bias=False)
        self.dropout = nn.Dropout3d(0.2)

    def forward(self, volumes):
        return volumes + self.path(self.dropout(super().forward(volumes)))

    def path(self, features):
        if not self.training:
            return features
        kept = features.new_empty(len(features), 1, 1, 1, 1).bernoulli_(0.8)
        return features * kept / 0.8


class Noisy(Conv):
    def forward(self, volumes):
        features = super().forward(volumes)
        return features + 0.1 * torch.randn_like(features) if self.training else features


class UndeclaredNoise(Noisy):
    pass


class ResidualWithoutGradients(Residual):
    def path(self, features):
        return super().path(features) if torch.is_grad_enabled() else 0 * features


class AsksItsInput(Residual):
    def forward(self, volumes):
        return super().forward(volumes) * (1 if volumes.requires_grad else 2)


class DropsItsResidual(Residual):
    def forward(self, volumes):
        after = super().forward(volumes)
        return after if self.training else after - volumes


class ScalesInEvaluation(Residual):
    def path(self, features):
        return super().path(features) if self.training else 0.5 * features


class PoolsInTraining(Conv):
    def forward(self, volumes):
        after = super().forward(volumes)
        return nn.functional.max_pool3d(after, 2, ceil_mode=True) if self.training else after


class StatisticsOfLargeBatches(Conv):
    def forward(self, volumes):
        if not self.training and len(volumes) > 1:
            volumes = volumes / volumes.amax().clamp_min(1e-3)
        return super().forward(volumes)


class MovesHiddenBuffer(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.register_buffer("level", torch.zeros(()), persistent=False)

    def forward(self, volumes):
        if not self.training:
            self.level.add_(1)
        return super().forward(volumes)


class CountsEvaluations(Conv):
    evaluations = 0

    def forward(self, volumes):
        self.evaluations += not self.training
        return super().forward(volumes) * (1 + self.evaluations * self.training)


class KeepsALambda(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.run = lambda volumes: torch.relu(self.norm(self.conv(volumes)))

    def forward(self, volumes):
        return self.run(volumes)


class TimesZero(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.second = nn.Conv3d(3, 3, 1)

    def forward(self, volumes):
        after = super().forward(volumes)
        return after + 0 * self.second(after)


class FourChannels(Conv):
    def __init__(self, in_channels):
        super().__init__(4)


class SeedsItself(Conv):
    def __init__(self, in_channels):
        torch.manual_seed(0)
        super().__init__(in_channels)


class SeedsWhatFollows(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        torch.manual_seed(0)


class SeedsInAFork(Conv):
    def __init__(self, in_channels):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(in_channels)


class OwnGenerator(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        nn.init.normal_(self.conv.weight, generator=torch.Generator().manual_seed(0))


class SeedsNumpy(Conv):
    def __init__(self, in_channels):
        np.random.seed(0)  # noqa: NPY002
        super().__init__(in_channels)


class OwnNumpyGenerator(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        drawn = np.random.default_rng(0).normal(size=tuple(self.norm.weight.shape))
        self.norm.weight = nn.Parameter(torch.from_numpy(drawn).float())


class SeedsEveryStep(Residual):
    def forward(self, volumes):
        if self.training:
            torch.manual_seed(0)
        return super().forward(volumes)


class StepsOwnGenerator(Conv):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, volumes):
        after = super().forward(volumes)
        if not self.training:
            return after
        kept = torch.empty(after.shape, dtype=after.dtype).bernoulli_(0.9, generator=self.generator)
        return after * kept / 0.9


class ValueNotTaken(Conv):
    width = ValueChoice(1, 2)


class EvenKernel(Conv):
    kernel = ValueChoice(1, 3, 4)

    def __init__(self, in_channels, *, kernel=3):
        super().__init__(in_channels)
        self.conv = nn.Conv3d(in_channels, 3, kernel, padding=kernel // 2, bias=False)


class ChannelsByValue(Conv):
    channels = ValueChoice(3, 6)


class BreaksTogether(Conv):
    """Works with each value, but not with every pair."""

    kernel = ValueChoice(1, 3)
    groups = ValueChoice(1, 2)

    def __init__(self, in_channels, *, kernel=3, groups=1):
        super().__init__(in_channels, channels=4)
        padding = 0 if groups == 1 and kernel == 3 else kernel // 2
        self.conv = nn.Conv3d(in_channels, 4, kernel, padding=padding, groups=groups, bias=False)


class DropsAtOneValue(Residual):
    """Right with a kernel of 3, but with one of 1 evaluation is another function."""

    def __init__(self, in_channels, *, kernel=3):
        super().__init__(in_channels, kernel=kernel)
        self.one = kernel == 1

    def path(self, features):
        return super().path(features) * (2 if self.one and not self.training else 1)


class Softmaxed(Network):
    def forward(self, volumes):
        return super().forward(volumes).softmax(1)


class ThreeClasses(Network):
    def __init__(self, *, in_channels, num_classes):
        super().__init__(in_channels=in_channels, num_classes=3)


class ScalesGradients(Conv):
    def forward(self, volumes):
        after = super().forward(volumes)
        if after.requires_grad:
            after.register_hook(lambda gradient: 100 * gradient)
        return after


class AsksForItsType(Conv):
    def forward(self, volumes):
        after = self.conv(volumes)
        return torch.relu(self.norm(after)) if after.dtype == volumes.dtype else after


class Sigmoid(Network):
    def forward(self, volumes):
        return super().forward(volumes).sigmoid()


class TestResidual(BlockContract):
    block = Residual


class TestNoisy(BlockContract):
    block = Noisy
    random_in_training = True


class TestUndeclaredNoise(BlockContract):
    block = UndeclaredNoise


class TestResidualWithoutGradients(BlockContract):
    block = ResidualWithoutGradients


class TestAsksItsInput(BlockContract):
    block = AsksItsInput


class TestDropsItsResidual(BlockContract):
    block = DropsItsResidual


class TestScalesInEvaluation(BlockContract):
    block = ScalesInEvaluation


class TestPoolsInTraining(BlockContract):
    block = PoolsInTraining
    stride = None


class TestStatisticsOfLargeBatches(BlockContract):
    block = StatisticsOfLargeBatches


class TestMovesHiddenBuffer(BlockContract):
    block = MovesHiddenBuffer


class TestCountsEvaluations(BlockContract):
    block = CountsEvaluations


class TestKeepsALambda(BlockContract):
    block = KeepsALambda


class TestTimesZero(BlockContract):
    block = TimesZero


class TestFourChannels(BlockContract):
    block = FourChannels


class TestSeedsItself(BlockContract):
    block = SeedsItself


class TestSeedsWhatFollows(BlockContract):
    block = SeedsWhatFollows


class TestSeedsInAFork(BlockContract):
    block = SeedsInAFork


class TestOwnGenerator(BlockContract):
    block = OwnGenerator


class TestSeedsNumpy(BlockContract):
    block = SeedsNumpy


class TestOwnNumpyGenerator(BlockContract):
    block = OwnNumpyGenerator


class TestSeedsEveryStep(BlockContract):
    block = SeedsEveryStep
    random_in_training = True


class TestStepsOwnGenerator(BlockContract):
    block = StepsOwnGenerator
    random_in_training = True


class TestValueNotTaken(BlockContract):
    block = ValueNotTaken


class TestEvenKernel(BlockContract):
    block = EvenKernel
    parameters = {"kernel": 3}


class TestChannelsByValue(BlockContract):
    block = ChannelsByValue


class TestBreaksTogether(BlockContract):
    block = BreaksTogether


class TestDropsAtOneValue(BlockContract):
    block = DropsAtOneValue
    parameters = {"kernel": 3}


class TestSoftmaxed(ModelContract):
    model = Softmaxed
    sizes = ((6, 7, 8),)


class TestThreeClasses(ModelContract):
    model = ThreeClasses
    sizes = ((6, 7, 8),)


class TestScalesGradients(BlockContract):
    block = ScalesGradients


class TestAsksForItsType(BlockContract):
    block = AsksForItsType


class TestSigmoid(ModelContract):
    model = Sigmoid
    sizes = ((6, 7, 8),)
