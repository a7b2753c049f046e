"""The contract of preparations, for each that is registered."""

from __future__ import annotations

from medpipe_core.testing import PreparationContract

ROOM = "medpipe_plugins.preparations"


class TestFill(PreparationContract):
    preparation = f"{ROOM}.intensity:Fill"


class TestWindow(PreparationContract):
    preparation = f"{ROOM}.intensity:Window"
    settings = {"low": 0.1, "high": 0.7}


class TestPercentileWindow(PreparationContract):
    preparation = f"{ROOM}.intensity:PercentileWindow"


class TestNormalise(PreparationContract):
    preparation = f"{ROOM}.intensity:Normalise"


class TestQuantise(PreparationContract):
    preparation = f"{ROOM}.intensity:Quantise"


class TestOrient(PreparationContract):
    preparation = f"{ROOM}.grid:Orient"


class TestResample(PreparationContract):
    preparation = f"{ROOM}.grid:Resample"
    settings = {"spacing": (2.0, 1.0, 4.0)}
    without_geometry = False


class TestResize(PreparationContract):
    preparation = f"{ROOM}.grid:Resize"
    settings = {"size": (4, 16, 9)}


class TestCentre(PreparationContract):
    preparation = f"{ROOM}.grid:Centre"
    settings = {"size": (4, 16, 9)}


class TestCropBody(PreparationContract):
    preparation = f"{ROOM}.grid:CropBody"
    settings = {"threshold": 0.9, "margin": 1}


class TestSlices(PreparationContract):
    preparation = f"{ROOM}.slices:Slices"
    settings = {"count": 4}


class TestRandomSlices(PreparationContract):
    preparation = f"{ROOM}.slices:Slices"
    settings = {"count": 12, "how": "random"}
