"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_MODULE = "medpipe_plugins.datasets"
_PUBLISHED = {
    "cc-ccii": ("CCCCII", "chest CT: normal, common pneumonia and COVID-19, PNG slices"),
    "mosmed": ("MosMed", "chest CT: normal and COVID-19, NIfTI"),
    "covid-ctset": ("COVIDCTset", "chest CT: normal and COVID-19, TIFF slices"),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the dataset of one's own scans, and published sets that are read as it is."""
    registry.register(
        "dataset",
        "folder",
        f"{_MODULE}.folder:FolderDataset",
        parameters=f"{_MODULE}.folder_settings:FolderSettings",
        summary="scans of one's own: a manifest, or folders named by class",
    )
    for name, (attribute, summary) in _PUBLISHED.items():
        registry.register(
            "dataset",
            name,
            f"{_MODULE}.published_ct:{attribute}",
            parameters=f"{_MODULE}.published_ct_settings:{attribute}Settings",
            summary=summary,
        )
