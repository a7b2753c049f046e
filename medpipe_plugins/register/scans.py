"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_READERS = {
    "dicom": ("DicomReader", "DICOM: a folder with a series, a multi-frame file"),
    "image-slices": ("SlicesReader", "slices as PNG, TIFF or JPEG files, TIFF files of many pages"),
    "nifti": ("NiftiReader", "NIfTI-1 and NIfTI-2, single files and pairs, plain and gzipped"),
    "numpy": ("ArrayReader", "arrays as .npy and .npz"),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the readers of scans."""
    for name, (attribute, summary) in _READERS.items():
        target = f"medpipe_plugins.scans.readers:{attribute}"
        parameters = "medpipe_plugins.scans.settings:ReaderSettings"
        registry.register("reader", name, target, parameters=parameters, summary=summary)
