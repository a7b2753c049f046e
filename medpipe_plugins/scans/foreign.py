"""What a file is that no reader takes, as far as its first bytes tell, and what to do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_plugins.scans.door import head
from medpipe_plugins.scans.sniffing import nifti_partner

if TYPE_CHECKING:
    from pathlib import Path

_CONVERT = "convert it to NIfTI"
_PICTURE = "save it as PNG or TIFF"
_UNPACK = "unpack it"
_KINDS = (
    (b"BZh", "is compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ", "is compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd", _UNPACK),
    (b"PK\x03\x04", "is a zip archive", _UNPACK),
    (b"Rar!", "is an archive", _UNPACK),
    (b"7z\xbc\xaf", "is an archive", _UNPACK),
    (b"NRRD", "is a NRRD file", _CONVERT),
    (b"ObjectType", "is a MetaImage file", _CONVERT),
    (b"\x89HDF", "is an HDF5 file", _CONVERT),
    (b"CDF", "is a MINC or NetCDF file", _CONVERT),
    (b"MATLAB", "is a MATLAB file", _CONVERT),
    (b"BM", "is a BMP picture", _PICTURE),
    (b"GIF8", "is a GIF picture", _PICTURE),
    (b"RIFF", "is a WebP picture", _PICTURE),
    (b"\0\0\0\x0cjP", "is a JPEG 2000 picture", _PICTURE),
    (b"\0\x05\x16\x07", "is what macOS leaves beside files", "take it out"),
    (b"version https://git-lfs", "is a pointer of git-lfs, not the file", "fetch it: git lfs pull"),
    (b"<!doctype", "is a web page, as of a download that failed", "load the file down again"),
    (b"<html", "is a web page, as of a download that failed", "load the file down again"),
)


def foreign(path: Path) -> str:
    """Return what a file is, and the remedy, in words; an empty text where that is not known."""
    name = path.name.lower()
    if name.endswith((".img", ".img.gz")) and nifti_partner(path) is None:
        return "is the image of a pair, and no header (.hdr) of the same name is beside it"
    if name.endswith((".mgz", ".mgh")):
        return f"is a FreeSurfer volume; {_CONVERT}"
    first = head(path, 264)
    if first.startswith(b"\x1f\x8b"):
        return _in_gzip(head(path, 264, inflate=True))
    found = (f"{what}; {remedy}" for magic, what, remedy in _KINDS if _begins(first, magic))
    return next(found, "")


def _begins(first: bytes, magic: bytes) -> bool:
    return first.startswith(magic) or first.lower().startswith(magic)


def _in_gzip(first: bytes) -> str:
    if first[128:132] == b"DICM":
        return f"is a DICOM file in gzip; {_UNPACK}"
    if first[257:262] == b"ustar":
        return f"is a tar archive; {_UNPACK}"
    if first.startswith(b"\x1f\x8b"):
        return f"was compressed by gzip twice; {_UNPACK} once"
    return ""
