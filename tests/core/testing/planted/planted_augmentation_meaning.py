"""Operations that do not say what they change, or say what they do not do."""

from __future__ import annotations

from planted_augmentations import Gamma, Mirror

from medpipe_core.supernet import Symmetry
from medpipe_core.testing import AugmentationContract


class TellingMirror(Mirror):
    """The good one."""

    changes = frozenset({"side"})

    def symmetries(self, axes):
        return (Symmetry.mirror(-1, axes),)


class OneWord(TellingMirror):
    changes = "side"


class SidesUntold(TellingMirror):
    changes = frozenset({"position"})

    def symmetries(self, axes):
        return ()


class BrightnessUntold(Gamma):
    changes = frozenset({"side"})


class PlacesUntold(Mirror):
    changes = frozenset({"intensity"})

    def apply(self, volumes):
        return volumes.roll(1, -1)


class AnotherMirror(TellingMirror):
    def symmetries(self, axes):
        return (Symmetry.mirror(-2, axes),)


class TestTellingMirror(AugmentationContract):
    operation = TellingMirror
    random = False


class TestOneWord(AugmentationContract):
    operation = OneWord
    random = False


class TestSidesUntold(AugmentationContract):
    operation = SidesUntold
    random = False


class TestBrightnessUntold(AugmentationContract):
    operation = BrightnessUntold


class TestPlacesUntold(AugmentationContract):
    operation = PlacesUntold
    random = False


class TestAnotherMirror(AugmentationContract):
    operation = AnotherMirror
    random = False
