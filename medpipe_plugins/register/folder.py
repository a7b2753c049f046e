"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the dataset of one's own scans."""
    module = "medpipe_plugins.datasets"
    registry.register(
        "dataset",
        "folder",
        f"{module}.folder:FolderDataset",
        parameters=f"{module}.folder_settings:FolderSettings",
        summary="scans of one's own: a manifest, or folders named by class",
    )
