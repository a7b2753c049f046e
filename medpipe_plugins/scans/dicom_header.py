"""What the header of a DICOM file says of each of its frames; no pixel is read.

Names are the keywords of PS3.6. Geometry is that of PS3.3 C.7.6.2 (a slice a file), and of the
functional groups of C.7.6.16 (enhanced multi-frame).
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from medpipe_core.data import DataError
from medpipe_plugins.scans.dicom_deflated import DEFLATED, undeflated
from medpipe_plugins.scans.dicom_frame import FileHeader, Frame
from medpipe_plugins.scans.dicom_places import stored_pixels
from medpipe_plugins.scans.dicom_plain import UNDEFINED, PlainHeader, Wanted, plain_header
from medpipe_plugins.scans.dicom_values import (
    finite,
    number,
    sortable,
    spacing_of_pixels,
    text,
    texts,
    vector,
    whole,
)
from medpipe_plugins.scans.door import MOST_VOXELS
from medpipe_plugins.scans.sniffing import has_dicom_preamble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
MOST_FRAMES = 100_000
_NO_SCANS = {"RTDOSE": "a dose grid", "SEG": "a segmentation", "PR": "a presentation state"}
# ContentTime is that of writing, which need not follow that of scanning.
_ORDER = ("EchoTime", "TriggerTime", "AcquisitionTime", "InstanceNumber", "ContentTime")
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "Modality", "Manufacturer"),
    *("ManufacturerModelName", "ImageType", "Rows", "Columns", "NumberOfFrames", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PlanarConfiguration"),
    *("PhotometricInterpretation", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
    "SpacingBetweenSlices",
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "LossyImageCompression", "TemporalPositionIdentifier", *_ORDER),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *PIXELS),
    "ExtendedOffsetTable",
]
_WANTED = Wanted(_TAGS)


def read_frames(path: Path) -> list[Frame] | str:
    """Return the frames of a file, or in words why it has none.

    Raises:
        DataError: It cannot be read, or its header says something impossible.
    """
    found = plain_header(path, _WANTED)
    if found is not None:
        try:
            return _frames(path, found, marked=True)
        except (DataError, TypeError, ValueError, OverflowError):
            pass  # values of pydicom's are told as they stand in the file
    return _frames(path, dataset(path, pixels=False), marked=has_dicom_preamble(path))


def _frames(path: Path, ds: Dataset | PlainHeader, *, marked: bool) -> list[Frame] | str:
    if "SOPClassUID" not in ds and not marked:
        raise DataError(f"{path}: not recognisable as DICOM: it has no preamble and no SOP class")
    modality = text(ds, "Modality")
    if not any(name in ds for name in PIXELS) or "Rows" not in ds:
        return _no_image(path, ds, modality)
    if modality in _NO_SCANS:
        return f"{modality}, {_NO_SCANS[modality]}, is no scan"
    file = _file_header(path, ds, marked)
    _check_bytes(file, ds)
    find = _finder(ds)
    order = tuple(sortable(ds.get(name)) for name in _ORDER)
    named = text(ds, "SOPInstanceUID") or str(path)
    alone = file.frames == 1 or "PerFrameFunctionalGroupsSequence" in ds
    time = ds.get("TemporalPositionIdentifier")
    return [
        _frame(file, index, partial(find, index), named, alone=alone, time=time, order=order)
        for index in range(file.frames)
    ]


def _no_image(path: Path, ds: Dataset | PlainHeader, modality: str) -> str:
    """Say what a file is that has no pixels.

    Raises:
        DataError: It should have some.
    """
    meta = getattr(ds, "file_meta", Dataset())
    kind = UID(text(ds, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID"))
    if not kind or "Image Storage" in kind.name:
        raise DataError(f"{path}: truncated: it is an image ({kind.name or '?'}) without pixels")
    return f"holds no image ({modality or kind.name})"


def dataset(path: Path, *, pixels: bool) -> Dataset:
    """Read a file with pydicom, all of it or the header alone.

    Raises:
        DataError: It would inflate to too much.
    """
    marked = has_dicom_preamble(path)
    if marked and _is_deflated(path):
        return pydicom.dcmread(io.BytesIO(undeflated(path)))
    if pixels:
        return pydicom.dcmread(path, force=not marked)
    return pydicom.dcmread(path, force=not marked, specific_tags=_TAGS, defer_size=4096)


def _is_deflated(path: Path) -> bool:
    meta = pydicom.filereader.read_file_meta_info(path)
    return bool(meta.get("TransferSyntaxUID") == DEFLATED)


def _file_header(path: Path, ds: Dataset | PlainHeader, marked: bool) -> FileHeader:
    rows, columns = whole(path, ds, "Rows"), whole(path, ds, "Columns")
    frames = whole(path, ds, "NumberOfFrames", 1)
    if frames > MOST_FRAMES or rows * columns * frames > MOST_VOXELS:
        raise DataError(
            f"{path}: says that it has {frames} frames of {rows} × {columns}, more voxels than the "
            f"{MOST_VOXELS} that a scan may have"
        )
    maker, model = text(ds, "Manufacturer"), text(ds, "ManufacturerModelName")
    return FileHeader(
        path,
        rows,
        columns,
        frames,
        _stored_type(path, ds),
        text(ds, "Modality"),
        model if model.startswith(maker) else f"{maker} {model}".strip(),
        text(ds, "PatientID"),
        text(ds, "SeriesInstanceUID"),
        number(ds, "SeriesNumber"),
        text(ds, "SeriesDescription"),
        text(ds, "FrameOfReferenceUID"),
        texts(ds.get("ImageType")),
        text(ds, "PhotometricInterpretation"),
        whole(path, ds, "SamplesPerPixel", 1),
        tuple(_notes(ds, marked)),
        stored_pixels(path, ds),
    )


def _check_bytes(file: FileHeader, ds: Dataset | PlainHeader) -> None:
    """Refuse uncompressed pixels that are fewer than the header says, before they are read."""
    there = ds.length if isinstance(ds, PlainHeader) else _bytes_of_pixels(file.path, ds)
    if there is None:
        return
    bits = file.rows * file.columns * file.frames * file.samples * np.dtype(file.dtype).itemsize * 8
    if bits > there * 8:
        raise DataError(
            f"{file.path}: truncated: its pixels take {bits // 8} bytes, and {there} are there"
        )


def _bytes_of_pixels(path: Path, ds: Dataset) -> int | None:
    """Return how many bytes of pixels are there; None where they are compressed."""
    pixels = next(name for name in PIXELS if name in ds)
    element: Any = ds.get_item(pixels, keep_deferred=True)
    length: int | None = getattr(element, "length", None)
    if length is None or length == UNDEFINED:  # compressed: the length is not stated
        return None
    if element.value is None:  # not read yet: it lies in the file, if all of it does
        return min(length, path.stat().st_size - int(element.value_tell))
    return length


def _notes(ds: Dataset | PlainHeader, marked: bool) -> list[str]:
    notes = []
    if not marked:
        notes.append("without DICOM's preamble")
    if text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        notes.append("MONOCHROME1: low values are white; values were not inverted")
    if text(ds, "LossyImageCompression") == "01":
        notes.append("was compressed with loss")
    notes += _rescale_notes(ds)
    if "PixelData" not in ds:
        notes.append("holds floating-point pixels, as parametric maps do")
    if "ImagerPixelSpacing" in ds and "PixelSpacing" not in ds:
        notes.append("a projection: its spacing is that of the detector, not of the patient")
    return notes


def _rescale_notes(ds: Dataset | PlainHeader) -> list[str]:
    pair = ("RescaleSlope", "RescaleIntercept")
    lacking = [name for name in pair if ds.get(name) in (None, "")]
    if len(lacking) == 1:
        return [f"{lacking[0]} is not stated; {int(lacking[0] == pair[0])} was taken"]
    elsewhere = "ModalityLUTSequence" in ds or "SharedFunctionalGroupsSequence" in ds
    if lacking and text(ds, "Modality") == "CT" and not elsewhere:
        return ["states no rescale: values are as stored, and need not be Hounsfield units"]
    return []


def _stored_type(path: Path, ds: Dataset | PlainHeader) -> str:
    if "PixelData" not in ds:
        return "float32" if "FloatPixelData" in ds else "float64"
    bits = int(ds.get("BitsAllocated") or 0)
    if bits not in (8, 16, 32, 64):
        raise DataError(f"{path}: BitsAllocated is {bits}; a scan has 8, 16, 32 or 64 bits a voxel")
    signed = ds.get("PixelRepresentation") == 1
    return f"{'' if signed else 'u'}int{bits}"


def _frame(
    file: FileHeader,
    index: int,
    find: Callable[..., list[Any]],
    named: str,
    *,
    alone: bool,
    time: Any,
    order: tuple[Any, ...],
) -> Frame:
    """Return one frame; what per-frame groups do not say, shared ones and the data set may.

    Args:
        file: What holds for all frames.
        index: Which it is.
        find: Finds attributes for it.
        named: What identifies the file.
        alone: Whether the data set's position can be the frame's.
        time: The data set's temporal position.
        order: The data set's other times and numbers.
    """
    path = file.path
    position = find("PlanePositionSequence", "ImagePositionPatient")[0] if alone else None
    own_time = find("FrameContentSequence", "TemporalPositionIndex")[0]
    return Frame(
        file,
        index,
        f"{named}/{index}",
        vector(path, position, 3, "ImagePositionPatient"),
        vector(
            path,
            find("PlaneOrientationSequence", "ImageOrientationPatient")[0],
            6,
            "ImageOrientationPatient",
        ),
        spacing_of_pixels(path, find("PixelMeasuresSequence", "PixelSpacing")[0]),
        finite(path, find("PixelMeasuresSequence", "SliceThickness")[0], "SliceThickness"),
        finite(
            path,
            find("PixelMeasuresSequence", "SpacingBetweenSlices")[0],
            "SpacingBetweenSlices",
        ),
        _rescale(
            path, find("PixelValueTransformationSequence", "RescaleSlope", "RescaleIntercept")
        ),
        (sortable(time if own_time is None else own_time), *order, index),
    )


def _rescale(path: Path, pair: Sequence[Any]) -> tuple[float, float] | None:
    """Return slope and intercept; None where neither is stated.

    Raises:
        DataError: One is no number, or the slope is 0.
    """
    slope, intercept = (finite(path, value, "rescale") for value in pair)
    if slope is None and intercept is None:
        return None
    if slope == 0:
        raise DataError(
            f"{path}: RescaleSlope is 0, by which every voxel would be {intercept or 0:g}; mend it"
        )
    return (1.0 if slope is None else slope, intercept or 0.0)


def _finder(ds: Dataset | PlainHeader) -> Callable[..., list[Any]]:
    """Return a function that finds attributes of a functional group for a frame.

    What a frame's own groups do not say is looked up once for all frames.
    """
    each = ds.get("PerFrameFunctionalGroupsSequence") or ()
    shared = ds.get("SharedFunctionalGroupsSequence")
    known: dict[tuple[str, ...], list[Any]] = {}

    def within(group: Any, names: Sequence[str]) -> list[Any] | None:
        if group is None or not any(name in group for name in names):
            return None
        return [group.get(name) for name in names]

    def find(index: int, sequence: str, *names: str) -> list[Any]:
        if index < len(each):
            own = within((each[index].get(sequence) or [None])[0], names)
            if own is not None:
                return own
        if (sequence, *names) not in known:
            general = (shared[0].get(sequence) or [None])[0] if shared else None
            known[sequence, *names] = (
                within(general, names) or within(ds, names) or [None] * len(names)
            )
        return known[sequence, *names]

    return find
