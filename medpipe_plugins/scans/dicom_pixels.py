"""Pixels of DICOM files, decoded frame by frame and rescaled once."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from medpipe_core.data import DataError
from medpipe_plugins.scans.codecs import decode_jpeg, decode_rle, is_jpeg
from medpipe_plugins.scans.dicom_deflated import undeflated
from medpipe_plugins.scans.dicom_header import PIXELS, dataset
from medpipe_plugins.scans.dicom_plain import BIG_ENDIAN, NATIVE
from medpipe_plugins.scans.door import read_exactly
from medpipe_plugins.scans.rescaling import rescaled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from medpipe_plugins.scans.dicom_frame import Frame, StoredPixels


def frames_of(path: Path, wanted: Mapping[int, Frame]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Decode the frames of a file that are wanted, one at a time.

    Yields:
        The number of the frame in the file, and its values, `(row, column)`, rescaled.
    """
    stored = next(iter(wanted.values())).file.pixels
    if stored is not None and (stored.syntax in NATIVE or is_jpeg(stored.syntax)):
        take = _in_place if stored.syntax in NATIVE else _decoded
        for index, array in take(path, stored, wanted):
            yield index, _values(array, wanted[index])
        return
    if stored is not None and stored.syntax == RLELossless:
        done = set()
        for index, array in _of_rle(path, stored, wanted):
            done.add(index)
            yield index, _values(array, wanted[index])
        wanted = {index: frame for index, frame in wanted.items() if index not in done}
        if not wanted:
            return
    ds = dataset(path, pixels=True)
    lut = ds.get("ModalityLUTSequence")
    for index, array in _stored(path, ds, _syntax(ds), wanted):
        if lut:
            yield index, apply_modality_lut(array, ds).astype(np.float32)
        else:
            yield index, _values(array, wanted[index])


def _decoded(
    path: Path, stored: StoredPixels, wanted: Mapping[int, Frame]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Decode frames whose code lies in a known part of a file."""
    file = next(iter(wanted.values())).file
    size = file.rows, file.columns
    frames = _codes(path, stored, file.frames)
    yield from _of_jpeg(path, frames, size, wanted, stored.signed, stored.bits)


def _of_rle(
    path: Path, stored: StoredPixels, wanted: Mapping[int, Frame]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Decode those frames of run-length code that are as long as they should be."""
    file = next(iter(wanted.values())).file
    dtype = _type(stored)
    for index, code in enumerate(_codes(path, stored, file.frames)):
        array = decode_rle(code, (file.rows, file.columns), dtype) if index in wanted else None
        if array is not None:
            yield index, _counted(array, stored.bits, stored.high)


def _codes(path: Path, stored: StoredPixels, frames: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(stored.start)
        code = bytes(read_exactly(stream, stored.end - stored.start, path))
    return generate_frames(code, number_of_frames=frames)


def _opened(path: Path, stored: StoredPixels) -> IO[bytes]:
    if stored.deflated:
        return io.BytesIO(undeflated(path))
    return cast("IO[bytes]", path.open("rb", buffering=0))


def _type(stored: StoredPixels) -> np.dtype[Any]:
    return np.dtype(f"<{'i' if stored.signed else 'u'}{stored.allocated // 8}")


def _of_jpeg(
    path: Path,
    frames: Iterator[bytes],
    size: tuple[int, int],
    wanted: Mapping[int, Frame],
    signed: bool,
    bits: int | None,
) -> Iterator[tuple[int, NDArray[Any]]]:
    done = 0
    for index, code in enumerate(frames):
        if index in wanted:
            done += 1
            yield index, _signed(decode_jpeg(path, code, size), signed, bits)
    if done < len(wanted):
        raise DataError(f"{path}: truncated: {done} of {len(wanted)} frames are there")


def _values(array: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    plain = frame.rescale in (None, (1.0, 0.0))
    return array.astype(np.float32) if plain else rescaled(array, *(frame.rescale or (1.0, 0.0)))


def _in_place(
    path: Path, stored: StoredPixels, wanted: Mapping[int, Frame]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Take frames that are not compressed from where they lie in a file."""
    file = next(iter(wanted.values())).file
    dtype = _type(stored)
    size = file.rows * file.columns * dtype.itemsize
    with _opened(path, stored) as stream:
        for index in sorted(wanted):
            stream.seek(stored.start + index * size)
            array = np.frombuffer(read_exactly(stream, size, path), dtype)
            if stored.syntax == BIG_ENDIAN:
                array = array.byteswap(inplace=True)
            array = array.reshape(file.rows, file.columns)
            yield index, _counted(array, stored.bits, stored.high)


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
        offsets = None
        if "ExtendedOffsetTable" in ds and "ExtendedOffsetTableLengths" in ds:
            offsets = ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths
        count = int(ds.get("NumberOfFrames") or 1)
        frames = generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=offsets)
        signed, bits = ds.get("PixelRepresentation") == 1, ds.get("BitsStored")
        yield from _of_jpeg(path, frames, (rows, columns), wanted, signed, bits)
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
    return _counted(array, bits, high)


def _counted(array: NDArray[Any], bits: int, high: int) -> NDArray[Any]:
    """Take the bits that count, the highest of which is `high`."""
    allocated = array.dtype.itemsize * 8
    if bits == allocated:
        return array
    # The type's own shift to the right spreads the sign where there is one.
    lifted = np.left_shift(array, allocated - 1 - high)
    return cast("NDArray[Any]", np.right_shift(lifted, allocated - bits))


def _signed(array: NDArray[Any], signed: bool, stored: int | None) -> NDArray[Any]:
    """Read decoded bits as signed or not, as the data set says; codecs may not know."""
    size = array.dtype.itemsize * 8
    if array.dtype.kind not in "iu" or signed == (array.dtype.kind == "i"):
        return array
    bits = min(int(stored or size), size)
    kind = array.dtype.str.replace("u", "i") if signed else array.dtype.str.replace("i", "u")
    lifted = np.left_shift(array.view(kind), size - bits)
    return cast("NDArray[Any]", np.right_shift(lifted, size - bits))
