"""Datasets: phantom3d, made in process, and the six MedMNIST3D sets."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_plugins.datasets.medmnist3d import MedMNIST3D, open_medmnist3d
    from medpipe_plugins.datasets.phantom3d import Phantom3D
    from medpipe_plugins.datasets.settings import MedMNISTSettings, PhantomSettings

__all__ = [
    "MedMNIST3D",
    "MedMNISTSettings",
    "Phantom3D",
    "PhantomSettings",
    "open_medmnist3d",
]

_MODULE_OF = {
    "MedMNIST3D": "medmnist3d",
    "MedMNISTSettings": "settings",
    "Phantom3D": "phantom3d",
    "PhantomSettings": "settings",
    "open_medmnist3d": "medmnist3d",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_plugins.datasets' has no attribute {name!r}")
    module = importlib.import_module(f"medpipe_plugins.datasets.{_MODULE_OF[name]}")
    return getattr(module, name)
