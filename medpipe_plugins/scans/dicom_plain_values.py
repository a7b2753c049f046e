"""Values of DICOM attributes that are as plain as nearly all are, as pydicom has them."""

from __future__ import annotations

import re
from typing import Any

_TEXTS = {b"CS", b"LO", b"SH", b"TM", b"UI"}
_SEVERAL = {"ImageType", "PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient"}
_SEVERAL |= {"ImageOrientationPatient"}
_NEVER_EMPTY = {"ImageType", "NumberOfFrames"}
_PLAIN = re.compile(rb"[\x20-\x7e]*\0?")
_DECIMAL = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *")
_INTEGER = re.compile(rb" *[+-]?\d{1,12} *")


class UnusualError(Exception):
    """The file is to be read by pydicom."""


def plain_value(name: str, vr: bytes, raw: bytes, *, big: bool = False) -> Any:
    """Return a value as pydicom has it.

    Args:
        name: Keyword of the attribute.
        vr: Its value representation.
        raw: Its bytes.
        big: Whether numbers are big-endian.

    Raises:
        UnusualError: It is not as plain as nearly all are.
    """
    if vr == b"US":
        if len(raw) != 2:
            raise UnusualError
        return int.from_bytes(raw, "big" if big else "little")
    if vr in _TEXTS:
        if not _PLAIN.fullmatch(raw) or (name in _NEVER_EMPTY and not raw):
            raise UnusualError
        text = raw.decode("ascii").rstrip("\0 ")
        if "\\" not in text:
            return text
        if name not in _SEVERAL:
            raise UnusualError
        return text.split("\\")
    if vr == b"DS":
        if not raw:
            return None
        parts = raw.split(b"\\")
        if not all(map(_DECIMAL.fullmatch, parts)) or (len(parts) > 1 and name not in _SEVERAL):
            raise UnusualError
        numbers = [float(part) for part in parts]
        return numbers if len(numbers) > 1 else numbers[0]
    if vr == b"IS":
        if not raw and name not in _NEVER_EMPTY:
            return None
        if not _INTEGER.fullmatch(raw):
            raise UnusualError
        return int(raw)
    raise UnusualError
