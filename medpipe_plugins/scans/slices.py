"""Slices as images: a folder of PNG, TIFF or JPEG files, or a TIFF file with many pages.

Nothing is known of their geometry: values keep the order slice, row, column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import DataError
from medpipe_plugins.scans import picture, tiff
from medpipe_plugins.scans.door import check_size, existing, files_in, told
from medpipe_plugins.scans.names import in_order
from medpipe_plugins.scans.scan import Scan, ScanHeader, value_notes
from medpipe_plugins.scans.sniffing import image_format

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medpipe_plugins.scans.picture import Picture


def header(path: Path, names: Sequence[str] = ()) -> ScanHeader:
    """Return what the headers of all images say; no pixel is read."""
    return _plan(path, names)[0]


def read(path: Path, names: Sequence[str] = ()) -> Scan:
    """Read a scan, image by image: all of a folder, or those named, in the order of the names."""
    known, pictures = _plan(path, names)
    values = np.empty(known.shape, np.float32)
    start = 0
    notes: list[str] = []
    for one in pictures:
        with told(one.path, one.format):
            library = tiff if one.format == "TIFF" else picture
            notes += library.fill(one, values[start : start + one.pages])
        start += one.pages
    return Scan(values, known, (*known.notes, *dict.fromkeys(notes), *value_notes(values)))


def _plan(path: Path, names: Sequence[str]) -> tuple[ScanHeader, list[Picture]]:
    files: list[Path] = [path / name for name in names] or [path]
    notes: list[str] = []
    if path.is_dir() and not names:
        files, notes = _images(path)
    pictures = []
    for file in files:
        kind = image_format(existing(file) if names else file)
        if not kind:
            raise DataError(f"{file}: is no PNG, TIFF or JPEG image")
        with told(file, kind):
            pictures.append(tiff.describe(file) if kind == "TIFF" else picture.describe(file, kind))
    first = pictures[0]
    _check_alike(path, pictures)
    if len(pictures) > 1 and max(one.pages for one in pictures) > 1:
        many = next(one for one in pictures if one.pages > 1)
        raise DataError(
            f"{path}: {many.path.name} has {many.pages} pages and lies beside other images; which "
            "of them are one scan cannot be known. Name the file"
        )
    shape = (sum(one.pages for one in pictures), *first.size)
    check_size(path, shape)
    notes += dict.fromkeys(note for one in pictures for note in one.notes)
    if shape[0] == 1:
        notes.append("a single slice")
    known = ScanHeader(str(path), first.format, shape, first.dtype, notes=tuple(notes))
    return known, pictures


def _images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images of a folder in order, and notes."""
    formats: dict[str, list[Path]] = {}
    for path in files_in(folder):
        formats.setdefault(image_format(path), []).append(path)
    others = formats.pop("", [])
    if len(formats) != 1:
        said = ", ".join(f"{len(files)} {kind}" for kind, files in formats.items()) or "none"
        raise DataError(f"{folder}: a scan's slices are images of one format; there are {said}")
    damaged = [path for path in others if path.suffix.lower() in _SUFFIXES]
    if damaged:
        raise DataError(
            f"{damaged[0]}: is no image, in spite of its name; it may be a damaged slice. Mend it, "
            "or take it out of the folder"
        )
    kept, notes = in_order(folder, next(iter(formats.values())))
    if others:
        names = ", ".join(path.name for path in others[:6])
        notes.append(f"passed over: {len(others)} files that are no images, such as {names}")
    return kept, notes


_SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg"}


def _check_alike(path: Path, pictures: Sequence[Picture]) -> None:
    """Refuse slices of different size or depth, naming those that stand out.

    Raises:
        DataError: There are some.
    """
    for what in ("size", "dtype"):
        found = [getattr(one, what) for one in pictures]
        often = max(dict.fromkeys(found), key=found.count)
        odd = [one for one in pictures if getattr(one, what) != often]
        if odd:
            names = ", ".join(one.path.name for one in odd[:6])
            said = getattr(odd[0], what)
            raise DataError(
                f"{path}: slices differ in {what}: {names} with {said}, the others with {often}"
            )
