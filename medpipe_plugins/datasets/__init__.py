"""Datasets: phantom3d, made in process, and the six MedMNIST3D sets."""

from medpipe_plugins.datasets.medmnist3d import MedMNIST3D, MedMNISTSettings, open_medmnist3d
from medpipe_plugins.datasets.phantom3d import Phantom3D, PhantomSettings

__all__ = [
    "MedMNIST3D",
    "MedMNISTSettings",
    "Phantom3D",
    "PhantomSettings",
    "open_medmnist3d",
]
