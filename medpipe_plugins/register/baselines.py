"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_MODELS = {
    "resnet18-3d": ("resnet18_3d", "ResNet18 of 3D convolutions"),
    "resnet18-2.5d": ("resnet18_25d", "ResNet18 of convolutions within slices"),
    "resnet18-acs": ("resnet18_acs", "ResNet18 of convolutions in three planes"),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the fixed networks."""
    room = "medpipe_plugins.baselines"
    for name, (attribute, summary) in _MODELS.items():
        registry.register(
            "model",
            name,
            f"{room}.resnet:{attribute}",
            parameters=f"{room}.settings:ResNetSettings",
            summary=summary,
        )
