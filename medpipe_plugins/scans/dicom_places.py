"""Where the pixels of a DICOM file lie, so that they are taken from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from medpipe_plugins.scans.dicom_frame import StoredPixels
from medpipe_plugins.scans.dicom_plain import (
    BIG_ENDIAN,
    NATIVE,
    UNDEFINED,
    PlainHeader,
    end_of_fragments,
)
from medpipe_plugins.scans.dicom_plain_values import UnusualError

if TYPE_CHECKING:
    from pathlib import Path


def stored_pixels(path: Path, ds: Dataset | PlainHeader) -> StoredPixels | None:
    """Say how whole numbers lie in a file; None where pydicom is to find them."""
    allocated = ds.get("BitsAllocated")
    bits = ds.get("BitsStored") or allocated
    high, sign = ds.get("HighBit", bits and bits - 1), ds.get("PixelRepresentation")
    if (
        not all(isinstance(one, int) for one in (allocated, bits, high, sign))
        or allocated not in (8, 16, 32)
        or ds.get("SamplesPerPixel") != 1
        or sign not in (0, 1)
        or not 0 < bits <= high + 1 <= allocated
    ):
        return None
    found = ds if isinstance(ds, PlainHeader) else _place_of_pixels(path, ds)
    # Of single bytes, which words of big-endian files hold two of, pydicom knows the order.
    if found is None or (found.syntax == BIG_ENDIAN and allocated == 8):
        return None
    places = found.start, found.end, found.syntax
    return StoredPixels(*places, allocated, bits, high, sign == 1, found.deflated)


def _place_of_pixels(path: Path, ds: Dataset) -> PlainHeader | None:
    """Say where the pixels of a data set lie that pydicom read from a file."""
    syntax = str(getattr(ds, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    element: Any = ds.get_item("PixelData", keep_deferred=True) if "PixelData" in ds else None
    start, length = getattr(element, "value_tell", None), getattr(element, "length", None)
    if (
        start is None
        or syntax not in (*NATIVE, RLELossless)
        or "ModalityLUTSequence" in ds
        or "ExtendedOffsetTable" in ds
        or (syntax == BIG_ENDIAN and element.VR != "OW")
        or (length == UNDEFINED) == (syntax in NATIVE)
    ):
        return None
    try:
        end = start + length if syntax in NATIVE else end_of_fragments(path, start)
    except (UnusualError, OSError):
        return None
    return PlainHeader({}, syntax, start, None, end)
