"""Bugs that show in a narrow case alone: one count, one channel, one layout, or the second use."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np
import torch
from planted_augmentations import Gamma, Scale
from planted_datasets import Blobs
from planted_modules import Conv, Network
from planted_preparations import Halve
from planted_readers import Six, SixContract
from planted_searchers import Climber, Quick

from medpipe_core.data import LabelledVolumes
from medpipe_core.testing import (
    AugmentationContract,
    BlockContract,
    DatasetContract,
    ModelContract,
    PreparationContract,
)


class ByPlace(Gamma):
    """The later in its batch, the stronger."""

    def apply(self, volumes, gamma):
        place = torch.arange(len(gamma), dtype=gamma.dtype)
        return super().apply(volumes, gamma * (1 + place / 10))


class MixesPairs(Gamma):
    def apply(self, volumes, gamma):
        after = super().apply(volumes, gamma)
        return (after + after.flip(0)) / 2 if len(after) == 2 else after


class OneBuffer(Gamma):
    """Its draw is a tensor that its next draw is written into."""

    def __init__(self):
        super().__init__()
        self._room = torch.empty(64)

    def draw(self, count, generator, *, low, high):
        drawn = super().draw(count, generator, low=low, high=high)
        return self._room[:count].copy_(drawn)


class JoinsBetween(Scale):
    def join(self, fusion, rows, factor):
        first, last = int(rows[0]), int(rows[-1])
        fusion.factor[rows] *= factor
        between = [row for row in range(first, last) if row not in rows.tolist()]
        fusion.factor[between] *= 1.5


class OtherAlone(Conv):
    def forward(self, volumes):
        after = super().forward(volumes)
        return after * 0.9 if len(volumes) == 1 and not self.training else after


class KeepsItsInput(Conv):
    def forward(self, volumes):
        self.seen = volumes
        return super().forward(volumes)


class ForgetsAChannel(Conv):
    """The last of several channels counts for nothing."""

    def forward(self, volumes):
        if volumes.shape[1] > 1:
            volumes = torch.cat((volumes[:, :-1], torch.zeros_like(volumes[:, -1:])), 1)
        return super().forward(volumes)


class FirstChannelAlone(Network):
    def forward(self, volumes):
        return super().forward(volumes[:, :1].expand_as(volumes))


class KeepsTheOutcome(Climber):
    """What is measured later is read from the caller's own dictionary."""

    def observe(self, outcome):
        super().observe(outcome)
        self._told += int(bool(self.measured))
        self.measured = outcome.measured

    measured = MappingProxyType({})


class KeepsTheState(Climber):
    def load_state_dict(self, state):
        super().load_state_dict(state)
        self._words = state["random"][1]

    def draw(self):
        if getattr(self, "_words", None):
            self._words[0] = 0
        return super().draw()


class OtherNames(Blobs):
    count = 0

    def make(self, part):
        type(self).count += 1
        data = super().make(part)
        cases = np.array([f"{part}-{self.count}-{n}" for n in range(len(data.labels))])
        return dataclasses.replace(data, cases=cases)


class OtherPatients(Blobs):
    count = 0

    def make(self, part):
        type(self).count += 1
        data = super().make(part)
        return LabelledVolumes(data.volumes, data.labels, data.groups + 100 * self.count)


class ByMemory(Halve):
    """Looks at voxels in the order of the memory."""

    def __call__(self, scan):
        first = scan.values.ravel(order="K")[: scan.values.size // 2]
        return scan.with_values(scan.values / (1 + first.mean()))


class FitsTheFirst(Halve):
    """Scales all scans by the largest intensity of the first."""

    highest = None

    def __call__(self, scan):
        self.highest = self.highest or float(scan.values.max())
        return scan.with_values(scan.values / self.highest)


class KeepsWhatItRead(Six):
    """Reads a path once, whatever becomes of the file."""

    def __init__(self):
        self._known = {}

    def read(self, path, *, series=None, volume=None):
        if series is not None or volume is not None or path not in self._known:
            self._known[path] = super().read(path, series=series, volume=volume)
        return self._known[path]


class ViewsItsBuffer(Six):
    """Values of every reading are one array."""

    def __init__(self):
        self._room = np.zeros((1, 2, 3), np.float32)

    def scan(self, values, path):
        self._room[:] = values
        made = super().scan(values, path)
        made.values = self._room
        return made


class TestByPlace(AugmentationContract):
    operation = ByPlace


class TestMixesPairs(AugmentationContract):
    operation = MixesPairs


class TestOneBuffer(AugmentationContract):
    operation = OneBuffer


class TestJoinsBetween(AugmentationContract):
    operation = JoinsBetween


class TestOtherAlone(BlockContract):
    block = OtherAlone


class TestKeepsItsInput(BlockContract):
    block = KeepsItsInput


class TestForgetsAChannel(BlockContract):
    block = ForgetsAChannel


class TestFirstChannelAlone(ModelContract):
    model = FirstChannelAlone
    sizes = ((6, 7, 8),)


class TestKeepsTheOutcome(Quick):
    searcher = KeepsTheOutcome


class TestKeepsTheState(Quick):
    searcher = KeepsTheState


class TestOtherNames(DatasetContract):
    dataset = OtherNames


class TestOtherPatients(DatasetContract):
    dataset = OtherPatients


class TestByMemory(PreparationContract):
    preparation = ByMemory


class TestFitsTheFirst(PreparationContract):
    preparation = FitsTheFirst


class TestKeepsWhatItRead(SixContract):
    reader = KeepsWhatItRead


class TestViewsItsBuffer(SixContract):
    reader = ViewsItsBuffer
