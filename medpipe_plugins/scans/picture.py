"""One slice as a PNG or JPEG file, read by Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import DEFLATE_RATIO, check_size, head

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_GREY = {"1": "bool", "L": "uint8", "I;16": "uint16", "I;16B": "uint16"}
_COLOURED = {"LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """What an image file says of itself.

    Attributes:
        path: The file.
        format: `"PNG"`, `"JPEG"` or `"TIFF"`.
        pages: How many slices it has.
        size: Rows and columns.
        dtype: In what a pixel is stored, as numpy writes it.
        notes: What is unusual.
    """

    path: Path
    format: str
    pages: int
    size: tuple[int, int]
    dtype: str
    notes: tuple[str, ...] = ()


def describe(path: Path, kind: str) -> Picture:
    """Return what a file says; no pixel is decoded.

    Raises:
        DataError: It holds several pictures, or one that is to be shown turned.
    """
    with Image.open(path, formats=(kind,)) as image:
        check_size(path, image.size)
        if kind == "PNG" and image.width * image.height // 8 > path.stat().st_size * DEFLATE_RATIO:
            raise DataError(
                f"{path}: truncated, or its header is wrong: {image.height} × {image.width} pixels "
                f"do not fit into {path.stat().st_size} bytes"
            )
        if getattr(image, "n_frames", 1) > 1:
            raise DataError(f"{path}: is animated; a slice is one picture")
        if image.mode not in _GREY and image.mode not in _COLOURED:
            raise DataError(f"{path}: pixels of Pillow's mode {image.mode!r} are no intensities")
        turned = image.getexif().get(_ORIENTATION, 1)
        if turned not in (0, 1):
            raise DataError(
                f"{path}: its orientation tag ({turned}) says that it is to be shown turned or "
                "mirrored; save it as it is to be read, without the tag"
            )
        notes = ["JPEG: was compressed with loss"] if kind == "JPEG" else []
        dtype = _GREY.get(image.mode, "uint8")
        return Picture(path, kind, 1, (image.height, image.width), dtype, tuple(notes))


def fill(one: Picture, values: NDArray[np.float32]) -> list[str]:
    """Decode a picture into `(1, row, column)`, and return what is unusual about its pixels.

    Raises:
        DataError: It has colours, or pixels that let something shine through.
    """
    with Image.open(one.path, formats=(one.format,)) as image:
        if image.mode in _GREY:
            pixels, notes = np.asarray(image), _depth_notes(one)
            bits = _bits(one)
            if one.format == "PNG" and bits in (2, 4):
                pixels = pixels // (255 // (2**bits - 1))  # Pillow stretches them to 0 to 255
        else:
            pixels, notes = _grey(one.path, image)
    values[0] = pixels
    return notes


def _bits(one: Picture) -> int:
    return head(one.path, 25)[24] if one.format == "PNG" else 8


def _depth_notes(one: Picture) -> list[str]:
    bits = _bits(one)
    return [f"{bits} bit a pixel: values from 0 to {2**bits - 1}"] if bits in (1, 2, 4) else []


def _grey(path: Path, image: Any) -> tuple[NDArray[Any], list[str]]:
    """Return the grey values of a picture that is stored in colour, if all of it is grey."""
    if image.format == "PNG" and head(path, 26)[24] == 16:
        raise DataError(
            f"{path}: 16 bit in colour or with transparency; save one grey value a pixel"
        )
    pixels = np.asarray(image.convert("RGBA"))
    if (pixels[..., 3] != 255).any():
        raise DataError(f"{path}: has transparent pixels; a scan has one intensity a pixel")
    if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
        raise DataError(f"{path}: is in colour ({image.mode}); a scan has one intensity a pixel")
    return pixels[..., 0], [f"stored in colour ({image.mode}), and grey throughout"]
