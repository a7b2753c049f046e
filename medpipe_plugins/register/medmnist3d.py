"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_MEDMNIST3D = {
    "organmnist3d": "abdominal CT, eleven organs",
    "nodulemnist3d": "chest CT, benign and malignant nodules",
    "fracturemnist3d": "chest CT, three kinds of rib fracture",
    "adrenalmnist3d": "shapes of adrenal glands, normal and hyperplasia",
    "vesselmnist3d": "shapes of brain vessels, with and without aneurysm",
    "synapsemnist3d": "electron microscopy, two kinds of synapse",
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the six sets of MedMNIST3D."""
    module = "medpipe_plugins.datasets.medmnist3d"
    for name, summary in _MEDMNIST3D.items():
        registry.register(
            "dataset",
            name,
            f"{module}:{name}",
            parameters="medpipe_plugins.datasets.settings:MedMNISTSettings",
            summary=summary,
        )
