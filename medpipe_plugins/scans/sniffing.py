"""What a file is, told from its first bytes; none of the libraries is needed for that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from medpipe_plugins.scans.door import head

if TYPE_CHECKING:
    from pathlib import Path

HEADER_SIZES = (348, 540)
"""Bytes of a NIfTI-1 and a NIfTI-2 header, which each begins with."""

_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_PAIR = re.compile(r"\.(hdr|img)(\.gz)?$", re.IGNORECASE)
_NIFTI_NAME = re.compile(r"\.(nii|hdr)(\.gz)?$", re.IGNORECASE)
_VR = re.compile(rb"A[EST]|CS|D[AST]|F[DL]|I[SU]|L[OT]|O[BDFLVW]|P[N]|S[HLQSTV]|TM|U[CILNRSTV]")


def is_nifti(path: Path) -> bool:
    """Say whether a file is a NIfTI header or image, or the image of a pair.

    What has the size of a header and the name, and no mark, is one too: an older Analyze file, or a
    damaged one, of which the reader will say so.
    """
    if path.name.lower().endswith((".img", ".img.gz")):
        partner = nifti_partner(path)
        if partner is not None:
            path = partner
    first = head(path, 348, inflate=True)
    if not any(int.from_bytes(first[:4], order) in HEADER_SIZES for order in ("little", "big")):
        return False
    marked = first[344:347] in (b"n+1", b"ni1") or first[4:7] in (b"n+2", b"ni2")
    return marked or bool(_NIFTI_NAME.search(path.name))


def nifti_partner(path: Path) -> Path | None:
    """Return the other file of a pair .hdr and .img, each gzipped or not; None if not there."""
    match = _PAIR.search(path.name)
    if match is None:
        return None
    other = "img" if match[1].lower() == "hdr" else "hdr"
    stem = path.name[: match.start()]
    suffixes = [match[2] or "", "" if match[2] else ".gz"]
    for name in (other, other.upper()):
        for suffix in suffixes:
            partner = path.with_name(f"{stem}.{name}{suffix}")
            if partner.is_file():
                return partner
    return None


def image_format(path: Path) -> str:
    """Return `"PNG"`, `"TIFF"` or `"JPEG"`, or an empty text for anything else."""
    first = head(path, 132)
    if first[128:] == b"DICM":  # its preamble is free, and may make it a TIFF file too
        return ""
    return next((name for magic, name in _IMAGES.items() if first.startswith(magic)), "")


def is_array(path: Path) -> bool:
    """Say whether a file is an .npy, or a zip archive as an .npz is."""
    first = head(path, 6)
    if path.name.lower().endswith(".npz"):
        return first.startswith(b"PK")
    return first == b"\x93NUMPY" or (first.startswith(b"PK\x03\x04") and b".npy" in head(path, 512))


def has_dicom_preamble(path: Path) -> bool:
    """Say whether a file has DICOM's mark behind its preamble."""
    return head(path, 132)[128:] == b"DICM"


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, or a data set of it whose preamble is missing."""
    first = head(path, 132)
    return first[128:] == b"DICM" or _begins_a_data_set(first)


def _begins_a_data_set(first: bytes) -> bool:
    """Say whether bytes begin with an element of group 0002 or 0008, its length plausible."""
    if len(first) < 16:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(first[:2], order)
        if group not in (2, 8) or int.from_bytes(first[2:4], order) > 0x3000:
            continue
        if _VR.fullmatch(first[4:6]):
            return True
        return order == "little" and int.from_bytes(first[4:8], "little") <= 256
    return False
