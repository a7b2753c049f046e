"""The bundled datasets hold to what every dataset promises."""

from __future__ import annotations

from medpipe_core.testing import DatasetContract
from medpipe_plugins.datasets import Phantom3D


class TestPhantom3D(DatasetContract):
    dataset = Phantom3D
    settings = {"size": 10, "train": 30, "validation": 12, "test": 12}
