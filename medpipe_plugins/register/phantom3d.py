"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register `phantom3d`."""
    module = "medpipe_plugins.datasets.phantom3d"
    registry.register(
        "dataset",
        "phantom3d",
        f"{module}:Phantom3D",
        parameters="medpipe_plugins.datasets.settings:PhantomSettings",
        summary="made in process: plates, balls and rods, with a known ceiling",
    )
