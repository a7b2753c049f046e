"""The JPEG family in DICOM: baseline, extended, lossless, JPEG-LS, JPEG 2000; and RLE.

The size that a code stream claims is looked at before it is decoded, so that a small file cannot
ask for a large image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_MOST_RUN = 64  # bytes that one byte of run-length code can stand for
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def is_jpeg(syntax: str) -> bool:
    """Say whether frames of a transfer syntax are decoded here."""
    return syntax in {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}


def decode_jpeg(path: Path, code: bytes, size: tuple[int, int]) -> NDArray[Any]:
    """Decode one frame of one component.

    Args:
        path: For messages.
        code: The code stream.
        size: Rows and columns that it must have.

    Raises:
        DataError: It is another size, or in colour.
        ValueError: It has no header.
    """
    wavelet = code.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "))
    kind, rows, columns, components = _wavelet_size(code) if wavelet else _jpeg_size(code)
    if (rows, columns) != size or components != 1:
        raise DataError(
            f"{path}: a frame is coded as {rows} × {columns} with {components} components, and its "
            f"header says {size[0]} × {size[1]} with one"
        )
    if wavelet:
        array = imagecodecs.jpeg2k_decode(code)
    elif kind == 0xF7:
        array = imagecodecs.jpegls_decode(code)
    else:
        array = imagecodecs.jpeg8_decode(code)
    if array.shape != size:
        raise DataError(f"{path}: a frame decodes to {array.shape}, not to {size}")
    return array


def decode_rle(code: bytes, size: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Decode one frame of one component (PS3.5, G); None where it is not just as long as it is.

    A segment may go on behind the last row, and one that was cut may end before it: pydicom knows
    what to make of the one, and says what is wrong with the other.
    """
    wanted = size[0] * size[1] * dtype.itemsize
    if wanted > _MOST_RUN * len(code):
        return None
    try:
        found = imagecodecs.dicomrle_decode(code, dtype, out=wanted)
    except (RuntimeError, ValueError):
        return None
    return np.frombuffer(found, dtype).reshape(size) if len(found) == wanted else None


def _wavelet_size(code: bytes) -> tuple[int, int, int, int]:
    """Read the marker SIZ of JPEG 2000 (ISO 15444-1, A.5.1)."""
    place = code.find(b"\xff\x4f\xff\x51")
    if place < 0 or len(code) < place + 42:
        raise ValueError("a JPEG 2000 code stream without its size")
    right, bottom, left, top = (
        int.from_bytes(code[place + n : place + n + 4], "big") for n in (8, 12, 16, 20)
    )
    components = int.from_bytes(code[place + 40 : place + 42], "big")
    return 0, bottom - top, right - left, components


def _jpeg_size(code: bytes) -> tuple[int, int, int, int]:
    """Read the frame header of JPEG or JPEG-LS (ISO 10918-1, B.2.2)."""
    place = 2
    while place + 10 <= len(code) and code[:2] == b"\xff\xd8" and code[place] == 0xFF:
        marker = code[place + 1]
        if marker in _FRAME_HEADERS:
            rows = int.from_bytes(code[place + 5 : place + 7], "big")
            columns = int.from_bytes(code[place + 7 : place + 9], "big")
            return marker, rows, columns, code[place + 9]
        if marker == 0xFF:
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(code[place + 2 : place + 4], "big")
    raise ValueError("a JPEG code stream without its size")
