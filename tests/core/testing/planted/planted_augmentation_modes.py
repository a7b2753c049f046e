"""Operations with bugs of gradient modes, of fusions, and at values or channels between."""

from __future__ import annotations

import torch
from planted_augmentations import Gamma, Mirror, Multiplied, Scale, per_volume

from medpipe_core import Fusion, ValueChoice
from medpipe_core.testing import AugmentationContract


class GammaWithoutGradients(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma if torch.is_grad_enabled() else gamma**0.5)


class GammaOfInference(Gamma):
    def draw(self, count, generator, *, low, high):
        low = high if torch.is_inference_mode_enabled() else low
        return super().draw(count, generator, low=low, high=high)


class AsksForGradients(Mirror):
    def apply(self, volumes):
        return volumes.flip(-2 if volumes.requires_grad else -1)


class SwitchesGradientsOff(Gamma):
    def draw(self, count, generator, *, low, high):
        torch.set_grad_enabled(False)
        return super().draw(count, generator, low=low, high=high)


class JoinsWithoutGradients(Scale):
    def join(self, fusion, rows, factor):
        fusion.factor[rows] *= factor if torch.is_grad_enabled() else 1


class Overwrites(Scale):
    def join(self, fusion, rows, factor):
        fusion.factor[rows] = factor.to(fusion.factor.dtype)


class BeginsAnew(Scale):
    def join(self, fusion, rows, factor):
        fusion.factor = torch.ones_like(fusion.factor)
        super().join(fusion, rows, factor)


class OnlyOnce(Scale):
    """Leaves a volume alone that was joined before."""

    def join(self, fusion, rows, factor):
        fresh = fusion.factor[rows] == 1
        super().join(fusion, rows[fresh], factor[fresh])


class Shifted(Multiplied):
    """Multiplies each volume by a number and adds another."""

    linear = False

    def __init__(self, volumes):
        super().__init__(volumes)
        self.shift = torch.zeros_like(self.factor)

    def result(self):
        return super().result() + per_volume(self.shift, self.volumes)


class Shift(Scale):
    """v · f + s, which does not commute."""

    fusion = Shifted

    def draw(self, count, generator):
        return torch.rand(count, 2, generator=generator)

    def join(self, fusion, rows, both):
        factor, shift = both.to(fusion.factor.dtype).unbind(1)
        fusion.factor[rows] *= factor
        fusion.shift[rows] = fusion.shift[rows] * factor + shift

    def apply(self, volumes, both):
        factor, shift = both.unbind(1)
        return volumes * per_volume(factor, volumes) + per_volume(shift, volumes)


class ComesBefore(Shift):
    def join(self, fusion, rows, both):
        factor, shift = both.to(fusion.factor.dtype).unbind(1)
        fusion.shift[rows] += fusion.factor[rows] * shift
        fusion.factor[rows] *= factor


class Kept(Fusion):
    """Writes into the volumes that it was made of."""

    def result(self):
        return self.volumes


class WritesWhenFused(Scale):
    fusion = Kept

    def join(self, fusion, rows, factor):
        fusion.volumes[rows] *= per_volume(factor, fusion.volumes)


class BreaksInTheMiddle(Gamma):
    low = ValueChoice(0.5, 0.6, 0.7, 0.9)

    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma)

    def draw(self, count, generator, *, low, high):
        steps = {0.5: 1, 0.7: 2, 0.9: 3}
        return super().draw(count, generator, low=low, high=high) * (steps[low] / steps[low])


class Squeezes(Mirror):
    def apply(self, volumes):
        return volumes.squeeze().flip(-1).view(volumes.shape[0], *volumes.squeeze().shape[1:])


class LargeBatches(Gamma):
    def apply(self, volumes, gamma):
        after = super().apply(volumes, gamma)
        return after / after.amax() if len(volumes) > 16 else after


class OtherScale(Gamma):
    def apply(self, volumes, gamma):
        return 255 * super().apply(volumes, gamma)


class TestShift(AugmentationContract):
    operation = Shift
    neighbours = (Shift,)


class TestGammaWithoutGradients(AugmentationContract):
    operation = GammaWithoutGradients


class TestGammaOfInference(AugmentationContract):
    operation = GammaOfInference


class TestAsksForGradients(AugmentationContract):
    operation = AsksForGradients
    random = False


class TestSwitchesGradientsOff(AugmentationContract):
    operation = SwitchesGradientsOff


class TestJoinsWithoutGradients(AugmentationContract):
    operation = JoinsWithoutGradients


class TestOverwrites(AugmentationContract):
    operation = Overwrites


class TestBeginsAnew(AugmentationContract):
    operation = BeginsAnew


class TestOnlyOnce(AugmentationContract):
    operation = OnlyOnce


class TestComesBefore(AugmentationContract):
    operation = ComesBefore


class TestWritesWhenFused(AugmentationContract):
    operation = WritesWhenFused


class TestBreaksInTheMiddle(AugmentationContract):
    operation = BreaksInTheMiddle


class TestSqueezes(AugmentationContract):
    operation = Squeezes
    random = False


class TestLargeBatches(AugmentationContract):
    operation = LargeBatches


class TestOtherScale(AugmentationContract):
    operation = OtherScale


class AsksForAutocast(Gamma):
    def apply(self, volumes, gamma):
        return super().apply(volumes, gamma**0.5 if torch.is_autocast_enabled("cpu") else gamma)


class LowersItself(Gamma):
    """Takes half the memory where it is handed single precision."""

    def apply(self, volumes, gamma):
        if volumes.dtype != torch.float32:
            return super().apply(volumes, gamma)
        return super().apply(volumes.bfloat16(), gamma).float()


class TestAsksForAutocast(AugmentationContract):
    operation = AsksForAutocast


class TestLowersItself(AugmentationContract):
    operation = LowersItself
