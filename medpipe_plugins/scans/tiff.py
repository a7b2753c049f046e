"""TIFF files of one page or many, read by tifffile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tifffile import TiffFile

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import check_size
from medpipe_plugins.scans.picture import Picture

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_SLICES = {"Z", "I", "Q"}  # depth, a series of images, unknown; not channels, times, samples
_GREY = (0, 1)  # white is zero, black is zero
_UNCOMPRESSED = 1
_LOSSY = (6, 7)  # the two JPEG compressions of TIFF
_MOST_RATIO = 1 << 16  # no codec of TIFF gets near this


def describe(path: Path) -> Picture:
    """Return what a file says; no pixel is decoded.

    Raises:
        DataError: It holds something other than slices of one intensity a pixel.
    """
    with TiffFile(path) as file:
        series = _series(path, file)
        page = series.keyframe
        pages = math.prod(series.shape) // (page.imagelength * page.imagewidth)
        size = (int(page.imagelength), int(page.imagewidth))
        check_size(path, (pages, *size))
        if series.dtype is None or series.dtype.kind not in "iufb":
            raise DataError(f"{path}: its pixels are {series.dtype}, no real numbers")
        _check_bytes(path, series, pages)
        return Picture(
            path,
            "TIFF",
            pages,
            size,
            str(series.dtype.newbyteorder("=")),
            tuple(_notes(path, file, series)),
        )


def fill(one: Picture, values: NDArray[np.float32]) -> list[str]:
    """Decode pages into `(slice, row, column)`, one at a time."""
    with TiffFile(one.path) as file:
        series = _series(one.path, file)
        if len(series.pages) != one.pages:  # ImageJ's files above 4 GB have one page for all
            values[:] = series.asarray().reshape(values.shape)
            return []
        for index, page in enumerate(series.pages):
            if page is None:
                raise DataError(f"{one.path}: page {index} is missing")
            pixels = page.asarray()
            if pixels.shape != one.size:
                raise DataError(f"{one.path}: page {index} is {pixels.shape}, the first {one.size}")
            values[index] = pixels
    return []


def _series(path: Path, file: TiffFile) -> Any:
    """Return the one series of a file, if it is a stack of grey slices.

    Raises:
        DataError: There are several, or it has other axes.
    """
    if len(file.series) != 1:
        said = "; ".join(f"{'×'.join(map(str, s.shape))} of {s.dtype}" for s in file.series[:6])
        raise DataError(f"{path}: holds {len(file.series)} images that are no one stack: {said}")
    series: Any = file.series[0]
    if len(series.levels) > 1:
        raise DataError(
            f"{path}: is a pyramid of {len(series.levels)} resolutions, as of microscopy"
        )
    if series.keyframe.photometric not in _GREY:
        raise DataError(
            f"{path}: is in colour ({series.keyframe.photometric.name}); a scan has one intensity "
            "a pixel"
        )
    if len(_stacked(series)) > 1 or "S" in series.axes:
        raise DataError(
            f"{path}: its axes are {series.axes} of {'×'.join(map(str, series.shape))}; a scan has "
            "slices, rows and columns alone. Take the channel or the time you mean, and save it"
        )
    return series


def _stacked(series: Any) -> list[str]:
    """Return the axes along which a series has several images."""
    axes = zip(series.axes, series.shape, strict=True)
    return [axis for axis, count in axes if count > 1 and axis not in "YX"]


def _check_bytes(path: Path, series: Any, pages: int) -> None:
    there = path.stat().st_size
    claimed = math.prod(series.shape) * series.dtype.itemsize
    plain = series.keyframe.compression == _UNCOMPRESSED
    packed = series.keyframe.bitspersample / (8 * series.dtype.itemsize)
    if claimed * min(packed, 1) > there * (1 if plain else _MOST_RATIO):
        raise DataError(
            f"{path}: truncated, or its header is wrong: {pages} pages of {claimed} bytes do not "
            f"fit into {there} bytes"
        )


def _notes(path: Path, file: TiffFile, series: Any) -> list[str]:
    page = series.keyframe
    turned = page.tags.get(274)
    if turned is not None and turned.value not in (0, 1):
        raise DataError(
            f"{path}: its orientation tag ({int(turned.value)}) says that it is to be shown turned "
            "or mirrored; save it as it is to be read, without the tag"
        )
    notes = [
        f"its pages are labelled {axis} (C for channels, T for times), and were read as slices"
        for axis in _stacked(series)
        if axis not in _SLICES
    ]
    if page.photometric == 0:
        notes.append("low values are white (photometric 0); values were not inverted")
    if page.bitspersample < 8:
        notes.append(
            f"{page.bitspersample} bit a pixel: values from 0 to {2**page.bitspersample - 1}"
        )
    spacing = (file.imagej_metadata or {}).get("spacing")
    if spacing is not None:
        unit = (file.imagej_metadata or {}).get("unit", "no unit")
        notes.append(f"ImageJ says that slices are {spacing} ({unit}) apart; that was not used")
    if page.compression in _LOSSY:
        notes.append("JPEG: was compressed with loss")
    return notes
