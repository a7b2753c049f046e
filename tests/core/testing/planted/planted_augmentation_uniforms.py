"""A good operation whose draw is made of uniform numbers, and others that each have one bug."""

from __future__ import annotations

import numpy as np
import torch
from planted_augmentations import Gamma, Multiplied, per_volume

from medpipe_core import Augmentation
from medpipe_core.testing import AugmentationContract


class GammaOfUniforms(Gamma):
    uniforms = 1

    def from_uniforms(self, numbers, *, low, high):
        return low + (high - low) * numbers[:, 0]


class DrawsMore(GammaOfUniforms):
    def from_uniforms(self, numbers, *, low, high):
        return super().from_uniforms(np.random.rand(*numbers.shape), low=low, high=high)  # noqa: NPY002


class Adapts(GammaOfUniforms):
    def __init__(self):
        self.calls = 0

    def from_uniforms(self, numbers, *, low, high):
        self.calls += 1
        return super().from_uniforms(numbers, low=low, high=high) + 0.01 * self.calls


class Centres(GammaOfUniforms):
    def from_uniforms(self, numbers, *, low, high):
        return super().from_uniforms(numbers, low=low, high=high) - numbers.mean()


class OneRow(GammaOfUniforms):
    def from_uniforms(self, numbers, *, low, high):
        return super().from_uniforms(numbers[:1], low=low, high=high)


class WritesNumbers(GammaOfUniforms):
    def from_uniforms(self, numbers, *, low, high):
        numbers *= high - low
        return numbers[:, 0] + low


class DrawsTwice(GammaOfUniforms):
    def draw(self, count, generator, *, low, high):
        torch.rand(1, generator=generator)
        return low + (high - low) * torch.rand(count, generator=generator)

    def from_uniforms(self, numbers, *, low, high):
        return super().from_uniforms(numbers, low=low, high=high)


class MultipliedOnCpu(Multiplied):
    on_cpu = True


class ScaleOfUniforms(Augmentation):
    fusion = MultipliedOnCpu
    uniforms = 1

    def from_uniforms(self, numbers):
        return 0.5 + numbers[:, 0]

    def join(self, fusion, rows, factor):
        fusion.factor[rows] *= torch.as_tensor(factor)

    def apply(self, volumes, factor):
        return volumes * per_volume(factor, volumes)


class ForgetsArrays(ScaleOfUniforms):
    def from_uniforms(self, numbers):
        return super().from_uniforms(numbers)

    def join(self, fusion, rows, factor):
        if isinstance(factor, torch.Tensor):
            super().join(fusion, rows, factor)


class TestGammaOfUniforms(AugmentationContract):
    operation = GammaOfUniforms


class TestScaleOfUniforms(AugmentationContract):
    operation = ScaleOfUniforms


class TestDrawsMore(AugmentationContract):
    operation = DrawsMore


class TestAdapts(AugmentationContract):
    operation = Adapts


class TestCentres(AugmentationContract):
    operation = Centres


class TestOneRow(AugmentationContract):
    operation = OneRow


class TestWritesNumbers(AugmentationContract):
    operation = WritesNumbers


class TestDrawsTwice(AugmentationContract):
    operation = DrawsTwice


class TestForgetsArrays(AugmentationContract):
    operation = ForgetsArrays
