"""Pixels of DICOM files, decoded frame by frame and rescaled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medpipe_core.data import DataError
from medpipe_plugins.scans.codecs import decode_jpeg, is_jpeg
from medpipe_plugins.scans.dicom_header import PIXELS, dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from medpipe_plugins.scans.dicom_header import Frame


def frames_of(path: Path, wanted: Mapping[int, Frame]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Decode the frames of a file that are wanted, one at a time.

    Yields:
        The number of the frame in the file, and its values, `(row, column)`, rescaled.
    """
    ds = dataset(path, pixels=True)
    syntax = _syntax(ds)
    lut = ds.get("ModalityLUTSequence")
    for index, stored in _stored(path, ds, syntax, wanted):
        frame = wanted[index]
        if lut:
            values = apply_modality_lut(stored, ds)
        elif frame.rescale == (1.0, 0.0):
            values = stored
        else:
            values = stored * np.float64(frame.rescale[0]) + np.float64(frame.rescale[1])
        yield index, values.astype(np.float32)


def _syntax(ds: Dataset) -> UID:
    """Return the transfer syntax; a data set without its file meta information shows it itself."""
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    if syntax:
        return UID(str(syntax))
    implicit, _ = ds.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _stored(
    path: Path, ds: Dataset, syntax: UID, wanted: Mapping[int, Frame]
) -> Iterator[tuple[int, NDArray[Any]]]:
    rows, columns = int(ds.Rows), int(ds.Columns)
    if syntax.is_compressed and is_jpeg(syntax):
        count = int(ds.get("NumberOfFrames") or 1)
        done = 0
        offsets = None
        if "ExtendedOffsetTable" in ds and "ExtendedOffsetTableLengths" in ds:
            offsets = ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths
        frames = generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=offsets)
        for index, code in enumerate(frames):
            if index in wanted:
                array = decode_jpeg(path, code, (rows, columns))
                done += 1
                yield index, _signed(array, ds)
        if done < len(wanted):
            raise DataError(f"{path}: truncated: {done} of {len(wanted)} frames are there")
        return
    if "file_meta" not in ds.__dict__:
        ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = syntax
    decoder = get_decoder(syntax)
    options: Any = {"raw": True, "correct_unused_bits": False}  # `_masked` knows HighBit, too
    for index in sorted(wanted):
        array, _ = decoder.as_array(ds, index=index, **options)
        if array.shape != (rows, columns):
            raise DataError(f"{path}: a frame is {array.shape}, not {rows} × {columns}")
        yield index, _masked(array, ds)


def _masked(array: NDArray[Any], ds: Dataset) -> NDArray[Any]:
    """Take the bits that are stored out of those that are allocated (PS3.5, 8.1.1)."""
    allocated = array.dtype.itemsize * 8
    if array.dtype.kind not in "iu" or PIXELS[0] not in ds:
        return array
    bits = int(ds.get("BitsStored") or allocated)
    high = int(ds.get("HighBit", bits - 1))
    if not 0 < bits <= high + 1 <= allocated:
        raise ValueError(f"BitsStored is {bits}, HighBit {high}, of {allocated} bits")
    if bits == allocated:
        return array
    # The type's own shift to the right spreads the sign where there is one.
    lifted = np.left_shift(array, allocated - 1 - high)
    return cast("NDArray[Any]", np.right_shift(lifted, allocated - bits))


def _signed(array: NDArray[Any], ds: Dataset) -> NDArray[Any]:
    """Read decoded bits as signed or not, as the data set says; codecs may not know."""
    signed = ds.get("PixelRepresentation") == 1
    size = array.dtype.itemsize * 8
    if array.dtype.kind not in "iu" or signed == (array.dtype.kind == "i"):
        return array
    bits = min(int(ds.get("BitsStored") or size), size)
    kind = array.dtype.str.replace("u", "i") if signed else array.dtype.str.replace("i", "u")
    lifted = np.left_shift(array.view(kind), size - bits)
    return cast("NDArray[Any]", np.right_shift(lifted, size - bits))
