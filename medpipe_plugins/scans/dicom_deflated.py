"""Deflated DICOM files, inflated once and within bounds (PS3.5, A.5)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from medpipe_core import read_regular_file
from medpipe_core.data import DataError

if TYPE_CHECKING:
    from pathlib import Path

DEFLATED = str(DeflatedExplicitVRLittleEndian)
MOST_INFLATED = 1 << 30
_BLOCK = 1 << 24
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SYNTAX = b"\x02\x00\x10\x00UI"


def undeflated(path: Path) -> bytearray:
    """Return a deflated file as it would be had its data set not been deflated.

    A stream that is cut gives what there is of it; what then is missing is told by who reads it.

    Raises:
        DataError: It would inflate to too much, or cannot be inflated.
    """
    content = read_regular_file(path)
    # The file meta information is explicit little endian; its elements are of group 0002.
    place, meta = 132, bytearray(content[:132])
    while content[place : place + 2] == b"\x02\x00":
        long = content[place + 4 : place + 6] in _LONG
        first = place + (8 if long else 6)
        size = int.from_bytes(content[first : first + (4 if long else 2)], "little")
        end = first + (4 if long else 2) + size
        element = content[place:end]
        if element.startswith(_SYNTAX):
            plain = str(ExplicitVRLittleEndian).encode()
            element = element[:8] + plain.ljust(size, b"\0")
        meta += element
        place = end
    inflater, rest = zlib.decompressobj(-zlib.MAX_WBITS), content[place:]
    while rest:
        try:
            meta += inflater.decompress(rest, _BLOCK)
        except zlib.error as error:
            raise DataError(f"{path}: its data set cannot be inflated ({error})") from None
        if len(meta) > MOST_INFLATED:
            raise DataError(f"{path}: inflates to more than {MOST_INFLATED >> 20} MiB")
        rest = inflater.unconsumed_tail
    return meta
