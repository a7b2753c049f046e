"""A good dataset, and others that each have one bug."""

from __future__ import annotations

import dataclasses

import numpy as np

from medpipe_core.data import (
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
    SealedTest,
    StoredVolumes,
    VaryingVolumes,
)
from medpipe_core.testing import DatasetContract


class Blobs:
    """Noise of two levels, by class; two volumes of each patient."""

    parts = {"train": 0, "validation": 1, "test": 2}

    def __init__(self, *, seed=0):
        self.seed = seed

    @property
    def card(self):
        return DatasetCard(
            name="blobs",
            title="Dark and bright blobs",
            classes=("dark", "bright"),
            channels=1,
            size=(3, 4, 5),
            source="made in process",
            licence="none needed",
        )

    def development(self):
        return Development(self.make("train"), self.make("validation"))

    def sealed_test(self):
        return SealedTest(lambda: self.make("test"))

    def make(self, part):
        number = self.parts[part]
        labels = np.arange(8, dtype=np.int64) % 2
        volumes = self.rng(number).random((8, 1, 3, 4, 5), dtype=np.float32) / 2
        groups = 10 * number + np.arange(8) // 2
        return LabelledVolumes(
            volumes + labels.reshape(-1, 1, 1, 1, 1).astype(np.float32) / 2, labels, groups
        )

    def rng(self, number):
        return np.random.default_rng([self.seed, number])


class DrawnInTurn(Blobs):
    def development(self):
        given = super().development()
        volumes, rng = given.train.volumes, np.random.default_rng(0)
        varying = VaryingVolumes(volumes, lambda row, seed: volumes[row] * np.float32(rng.random()))
        train = dataclasses.replace(given.train, volumes=StoredVolumes([varying]))
        return dataclasses.replace(given, train=train)


class DrawnTheSame(Blobs):
    def development(self):
        given = super().development()
        volumes = given.train.volumes
        varying = VaryingVolumes(volumes, lambda row, seed: volumes[row])
        train = dataclasses.replace(given.train, volumes=StoredVolumes([varying]))
        return dataclasses.replace(given, train=train)


class LabelsFromOne(Blobs):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, labels=data.labels + 1)


class AbsentClass(Blobs):
    @property
    def card(self):
        return dataclasses.replace(super().card, classes=("dark", "bright", "grey"))


class OtherEachTime(Blobs):
    def __init__(self, *, seed=0):
        self.generator = np.random.default_rng(seed)

    def rng(self, number):
        return self.generator


class GloballyDrawn(Blobs):
    def rng(self, number):
        return np.random.default_rng([np.random.randint(1000), number])  # noqa: NPY002


class SharedVolumes(Blobs):
    parts = {"train": 0, "validation": 1, "test": 1}


class SharedPatients(Blobs):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, groups=data.groups % 10)


class OpenedTest(Blobs):
    def sealed_test(self):
        sealed = super().sealed_test()
        sealed.open(after="nothing")
        return sealed


class OtherSize(Blobs):
    @property
    def card(self):
        return dataclasses.replace(super().card, size=(5, 4, 3))


class WideIntensities(Blobs):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, volumes=data.volumes * 255)


class TestBlobs(DatasetContract):
    dataset = Blobs
    settings = {"seed": 1}


class TestDrawnInTurn(DatasetContract):
    dataset = DrawnInTurn


class TestDrawnTheSame(DatasetContract):
    dataset = DrawnTheSame


class TestLabelsFromOne(DatasetContract):
    dataset = LabelsFromOne


class TestAbsentClass(DatasetContract):
    dataset = AbsentClass


class TestOtherEachTime(DatasetContract):
    dataset = OtherEachTime


class TestGloballyDrawn(DatasetContract):
    dataset = GloballyDrawn


class TestSharedVolumes(DatasetContract):
    dataset = SharedVolumes


class TestSharedPatients(DatasetContract):
    dataset = SharedPatients


class TestOpenedTest(DatasetContract):
    dataset = OpenedTest


class TestOtherSize(DatasetContract):
    dataset = OtherSize


class TestWideIntensities(DatasetContract):
    dataset = WideIntensities


class PatientsOfTrainAlone(Blobs):
    def make(self, part):
        data = super().make(part)
        return data if part == "train" else dataclasses.replace(data, groups=None)


class PatientsOfOtherType(Blobs):
    """The same patients, by number here and by text there."""

    def make(self, part):
        data = super().make(part)
        names = data.groups if part == "train" else np.array([f"p{n}" for n in data.groups])
        return dataclasses.replace(data, groups=names)


class PatientsWrittenOtherwise(Blobs):
    def make(self, part):
        data = super().make(part)
        names = np.array([f"Patient{n % 10}" for n in data.groups])
        names = names if part == "train" else np.array([f"{n.lower()} " for n in names])
        return dataclasses.replace(data, groups=names)


class LacksAClass(Blobs):
    def make(self, part):
        data = super().make(part)
        return data.take(np.flatnonzero(data.labels == 0)) if part == "test" else data


class SplitByHash(Blobs):
    """Holds out the patients whose hash is even."""

    def make(self, part):
        data = super().make("train")
        names = np.array([f"patient{n}" for n in np.arange(8)])
        held = np.array([hash(name) % 3 for name in names])
        return dataclasses.replace(data, groups=names).take(np.argsort(held))


class ClassesOfASet(Blobs):
    @property
    def card(self):
        classes = tuple({"dark", "bright"} | {f"shade{n}" for n in range(5)})
        return dataclasses.replace(super().card, classes=classes)


class SeedWithoutUse(Blobs):
    def rng(self, number):
        return np.random.default_rng([0, number])


class NextToBlack(Blobs):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, volumes=(data.volumes % 0.2 > 0.1).astype(np.uint8))


class AllBlank(Blobs):
    def make(self, part):
        data = super().make(part)
        volumes = data.volumes * 0 + (0.5 if part == "validation" else data.volumes)
        return dataclasses.replace(data, volumes=volumes.astype(np.float32))


class TestPatientsOfTrainAlone(DatasetContract):
    dataset = PatientsOfTrainAlone


class TestPatientsOfOtherType(DatasetContract):
    dataset = PatientsOfOtherType


class TestPatientsWrittenOtherwise(DatasetContract):
    dataset = PatientsWrittenOtherwise


class TestLacksAClass(DatasetContract):
    dataset = LacksAClass


class TestSplitByHash(DatasetContract):
    dataset = SplitByHash


class TestClassesOfASet(DatasetContract):
    dataset = ClassesOfASet


class TestSeedWithoutUse(DatasetContract):
    dataset = SeedWithoutUse


class TestNextToBlack(DatasetContract):
    dataset = NextToBlack


class TestAllBlank(DatasetContract):
    dataset = AllBlank


class OnePatient(Blobs):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, groups=np.full(len(data), self.parts[part]))


class MirroredTest(Blobs):
    def make(self, part):
        data = super().make(part)
        mirrored = super().make("train").volumes[..., ::-1].copy()
        return dataclasses.replace(data, volumes=mirrored) if part == "test" else data


class TestOnePatient(DatasetContract):
    dataset = OnePatient


class TestMirroredTest(DatasetContract):
    dataset = MirroredTest


class Larger(Blobs):
    """As many volumes as it takes to tell what labels mean; each of another patient."""

    def make(self, part):
        number = self.parts[part]
        labels = np.arange(40, dtype=np.int64) % 2
        volumes = self.rng(number).random((40, 1, 3, 4, 5), dtype=np.float32) / 2
        bright = labels.reshape(-1, 1, 1, 1, 1).astype(np.float32) / 4
        return LabelledVolumes(volumes + bright, labels, 100 * number + np.arange(40))


class LabelsSwapped(Larger):
    def make(self, part):
        data = super().make(part)
        return dataclasses.replace(data, labels=1 - data.labels) if part == "test" else data


class ReadsEarly(Blobs):
    def __init__(self, *, seed=0):
        super().__init__(seed=seed)
        self.read = {"test": super().make("test")}

    def sealed_test(self):
        return SealedTest(lambda: self.read["test"])


class HandsOverWhatIsRead(Blobs):
    def sealed_test(self):
        data = self.make("test")
        return SealedTest(lambda: data)


class OtherOutline(Blobs):
    def sealed_test(self):
        return SealedTest(lambda: self.make("test"), outline=Outline((1, 3, 4, 5)))


class TestLarger(DatasetContract):
    dataset = Larger


class TestLabelsSwapped(DatasetContract):
    dataset = LabelsSwapped


class TestReadsEarly(DatasetContract):
    dataset = ReadsEarly


class TestHandsOverWhatIsRead(DatasetContract):
    dataset = HandsOverWhatIsRead


class TestOtherOutline(DatasetContract):
    dataset = OtherOutline
