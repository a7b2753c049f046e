"""A good operation, and others that each have one bug."""

from __future__ import annotations

import torch

from medpipe_core import Augmentation, Fusion, ValueChoice
from medpipe_core.testing import AugmentationContract


def per_volume(values, volumes):
    return values.to(volumes.dtype).view(-1, *[1] * (volumes.ndim - 1))


class Gamma(Augmentation):
    """Gamma contrast: v ** g, g uniform in [low, high]."""

    low = ValueChoice(0.5, 0.7, 0.9)
    high = ValueChoice(1.1, 1.3, 1.5)

    def draw(self, count, generator, *, low, high):
        return low + (high - low) * torch.rand(count, generator=generator)

    def apply(self, volumes, gamma):
        return (volumes.clamp(0, 1) + 1e-3) ** per_volume(gamma, volumes)


class Mirror(Augmentation):
    def draw(self, count, generator):
        return ()

    def apply(self, volumes):
        return volumes.flip(-1)


class WrongAxis(Mirror):
    def apply(self, volumes):
        return volumes.flip(0)


class ChannelAxis(Mirror):
    def apply(self, volumes):
        return volumes.flip(1)


class Turned(Mirror):
    def apply(self, volumes):
        return volumes.transpose(-1, -2)


class InPlace(Gamma):
    def apply(self, volumes, gamma):
        return volumes.add_(1e-3).pow_(per_volume(gamma, volumes))


class OneDraw(Gamma):
    def draw(self, count, generator, *, low, high):
        return super().draw(1, generator, low=low, high=high).expand(count)


class TooFewRows(Gamma):
    def draw(self, count, generator, *, low, high):
        return super().draw(1, generator, low=low, high=high)


class BlankIsNaN(Mirror):
    def apply(self, volumes):
        return volumes / volumes.amax((1, 2, 3, 4), keepdim=True)


class GlobalSeed(Gamma):
    def draw(self, count, generator, *, low, high):
        return low + (high - low) * torch.rand(count)


class FixedSeed(Gamma):
    def draw(self, count, generator, *, low, high):
        return super().draw(count, torch.Generator().manual_seed(0), low=low, high=high)


class ApplyDraws(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma) + 0.01 * torch.rand_like(volumes)


class ToFloat32(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma).float()


class Detached(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes.detach(), gamma)


class WrongGradient(Gamma):
    def apply(self, volumes, gamma):
        after = super().apply(volumes, gamma)
        return volumes + (after - volumes).detach()


class Undeclared(Gamma):
    def draw(self, count, generator, *, low, high, middle=1.0):
        return super().draw(count, generator, low=low, high=high) * middle


class NotTaken(Gamma):
    high = ValueChoice(1.1, 1.5)

    def draw(self, count, generator, *, low):
        return low + (1 - low) * torch.rand(count, generator=generator)


class Ignored(Gamma):
    def draw(self, count, generator, *, low, high):
        return low + (1 - low) * torch.rand(count, generator=generator)


class BatchMean(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma) - volumes.mean()


class Counting(Gamma):
    def __init__(self):
        self.calls = 0

    def apply(self, volumes, gamma):
        self.calls += 1
        return super().apply(volumes, gamma) * (1 + self.calls / 100)


class MixedRows(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma.mean().expand(len(volumes)))


class Viewing(Mirror):
    def apply(self, volumes):
        return volumes.view(len(volumes), -1).flip(1).view(volumes.shape)


class NeedsArgument(Gamma):
    def __init__(self, strength):
        self.strength = strength


class Multiplied(Fusion):
    """Multiplies each volume by one number."""

    def __init__(self, volumes):
        super().__init__(volumes)
        self.factor = torch.ones(len(volumes), dtype=volumes.dtype)

    def result(self):
        return self.volumes * per_volume(self.factor, self.volumes)


class Scale(Augmentation):
    fusion = Multiplied

    def draw(self, count, generator):
        return 0.5 + torch.rand(count, generator=generator)

    def join(self, fusion, rows, factor):
        fusion.factor[rows] *= factor

    def apply(self, volumes, factor):
        return volumes * per_volume(factor, volumes)


class OtherJoin(Scale):
    def join(self, fusion, rows, factor):
        fusion.factor[rows] /= factor


class JoinsAll(Scale):
    def join(self, fusion, rows, factor):
        fusion.factor *= factor.mean()

    def apply(self, volumes, factor):
        return volumes * factor.mean()


class Squared(Multiplied):
    def result(self):
        return super().result() * self.volumes


class NotLinear(Scale):
    fusion = Squared

    def apply(self, volumes, factor):
        return super().apply(volumes, factor) * volumes


class LooksAtVolumes(Scale):
    def draw_for(self, volumes, generator):
        return volumes.flatten(1).mean(1) + torch.rand(len(volumes), generator=generator)


class TestGamma(AugmentationContract):
    operation = Gamma


class TestMirror(AugmentationContract):
    operation = Mirror
    random = False


class TestWrongAxis(AugmentationContract):
    operation = WrongAxis
    random = False


class TestChannelAxis(AugmentationContract):
    operation = ChannelAxis
    random = False


class TestTurned(AugmentationContract):
    operation = Turned
    random = False


class TestInPlace(AugmentationContract):
    operation = InPlace


class TestOneDraw(AugmentationContract):
    operation = OneDraw


class TestTooFewRows(AugmentationContract):
    operation = TooFewRows


class TestBlankIsNaN(AugmentationContract):
    operation = BlankIsNaN
    random = False


class TestGlobalSeed(AugmentationContract):
    operation = GlobalSeed


class TestFixedSeed(AugmentationContract):
    operation = FixedSeed


class TestApplyDraws(AugmentationContract):
    operation = ApplyDraws


class TestToFloat32(AugmentationContract):
    operation = ToFloat32


class TestDetached(AugmentationContract):
    operation = Detached


class TestWrongGradient(AugmentationContract):
    operation = WrongGradient


class TestUndeclared(AugmentationContract):
    operation = Undeclared


class TestNotTaken(AugmentationContract):
    operation = NotTaken


class TestIgnored(AugmentationContract):
    operation = Ignored


class TestBatchMean(AugmentationContract):
    operation = BatchMean


class TestCounting(AugmentationContract):
    operation = Counting


class TestMixedRows(AugmentationContract):
    operation = MixedRows


class TestViewing(AugmentationContract):
    operation = Viewing
    random = False


class TestNeedsArgument(AugmentationContract):
    operation = NeedsArgument


class TestScale(AugmentationContract):
    operation = Scale


class TestOtherJoin(AugmentationContract):
    operation = OtherJoin


class TestJoinsAll(AugmentationContract):
    operation = JoinsAll


class TestNotLinear(AugmentationContract):
    operation = NotLinear


class TestLooksAtVolumes(AugmentationContract):
    operation = LooksAtVolumes
