"""Reading a scan, whatever it is stored in."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import existing, files_below, files_in, head, room, told
from medpipe_plugins.scans.foreign import foreign
from medpipe_plugins.scans.readers import ArrayReader, DicomReader, NiftiReader, SlicesReader
from medpipe_plugins.scans.scan import Scan, ScanHeader, as_header, as_scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medpipe_core import Registry

    PathLike = str | os.PathLike[str]

_LOOKED_AT = 20  # files of a folder, to say what they are


def read_scan(
    path: PathLike | Sequence[PathLike],
    *,
    series: str | int | None = None,
    volume: int | None = None,
    reader: str | None = None,
    registry: Registry | None = None,
) -> Scan:
    """Read one scan: NIfTI, DICOM, slices as PNG, TIFF or JPEG, npy or npz.

    What a file is follows from its content. Where the file says how the patient lay, axes of the
    values rise to the right, to the front and upwards; voxels are never resampled. What is
    unusual and harmless stands in `notes`; what can be understood in two ways is an error that
    says what to choose from.

    Args:
        path: A file, a folder with one scan, or several of these as channels of one scan.
        series: Which series of a DICOM folder: its UID, its number, or `"largest"`; which array of
            an .npz: its name.
        volume: Which of several volumes of one file or series, from 0.
        reader: Name of the reader to use, where several can.
        registry: Its readers are used, those of other packages among them; by default those of
            this package.

    Returns:
        The scan. Channels, where several paths are given, come first in its values.

    Raises:
        DataError: It cannot be read, or must not be: the text names the file.
        MissingExtraError: A package of the extra `scans` is missing.

    Example:
        >>> import tempfile, numpy, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "scan.npy")
        ...     numpy.save(file, numpy.arange(24).reshape(2, 3, 4))
        ...     scan = read_scan(file)
        >>> scan.values.shape, scan.values.dtype, scan.affine
        ((2, 3, 4), dtype('float32'), None)
    """
    if not isinstance(path, (str, os.PathLike)):
        scans = [
            read_scan(one, series=series, volume=volume, reader=reader, registry=registry)
            for one in path
        ]
        return _as_channels(scans)
    found = existing(path)
    name, chosen = _reader(found, reader, registry)
    with told(found, name):
        return as_scan(chosen.read(found, series=series, volume=volume), str(path), name)


def scan_header(
    path: PathLike,
    *,
    series: str | int | None = None,
    volume: int | None = None,
    reader: str | None = None,
    registry: Registry | None = None,
) -> ScanHeader:
    """Return what is known of a scan without reading its voxels.

    A whole data set is checked by this before memory is taken for any of it.

    Args:
        path: A file, or a folder with one scan.
        series: As of `read_scan`.
        volume: As of `read_scan`.
        reader: As of `read_scan`.
        registry: As of `read_scan`.

    Raises:
        DataError: It cannot be read, or must not be, as far as that shows without voxels.
        MissingExtraError: A package of the extra `scans` is missing.
    """
    found = existing(path)
    name, chosen = _reader(found, reader, registry)
    with told(found, name):
        return as_header(chosen.header(found, series=series, volume=volume), str(path), name)


def scan_files(path: PathLike, *, registry: Registry | None = None) -> list[Path]:
    """Return the files that a scan is read from, sorted: whether they changed tells whether it did.

    They are what the reader says, if it has a method `files`; else the file itself, or every file
    of a folder and its sub-folders but hidden ones.

    Args:
        path: A file, or a folder with one scan.
        registry: As of `read_scan`.

    Raises:
        DataError: It is no scan, or a file cannot be found.
    """
    found = existing(path)
    name, chosen = _reader(found, None, registry)
    if not hasattr(chosen, "files"):
        return files_below(found) if found.is_dir() else [found]
    with told(found, name):
        return sorted(chosen.files(found))


def read_slices(folder: PathLike, names: Sequence[str]) -> Scan:
    """Read one scan from images of a folder, in the order of their names in a list.

    For published lists that say which images are a scan, and how they follow each other.

    Args:
        folder: The folder.
        names: Names of PNG, TIFF or JPEG files in it.

    Raises:
        DataError: One cannot be read; the text names the file.
        MissingExtraError: A package of the extra `scans` is missing.
    """
    found = existing(folder)
    with told(found, "image-slices"):
        scan: Scan = room("slices").read(found, names)
    return scan


def slices_header(folder: PathLike, names: Sequence[str]) -> ScanHeader:
    """Return what is known of the scan that `read_slices` reads; no pixel is read."""
    found = existing(folder)
    with told(found, "image-slices"):
        header: ScanHeader = room("slices").header(found, names)
    return header


def _reader(path: Path, asked: str | None, registry: Registry | None) -> tuple[str, Any]:
    """Return the reader for a path, and its name.

    Raises:
        DataError: None can read it, or several can and none is asked for.
    """
    readers = _readers(registry)
    if asked is not None:
        if registry is not None:
            registry.entry("reader", asked)
        if asked not in readers:
            known = ", ".join(readers)
            raise DataError(f"{path}: there is no reader {asked!r}; there are {known}")
        return asked, readers[asked]
    able = []
    for name, one in readers.items():
        with told(path, name):
            if one.reads(path):
                able.append(name)
    if len(able) == 1:
        return able[0], readers[able[0]]
    if able:
        raise DataError(
            f"{path}: can be read in {len(able)} ways ({', '.join(able)}); say which with "
            "reader=NAME, or name the file that is meant"
        )
    raise DataError(f"{path}: {_unknown(path)}; the readers are {', '.join(readers)}")


def _readers(registry: Registry | None) -> dict[str, Any]:
    if registry is not None:
        return {name: registry.create("reader", name) for name in registry.names("reader")}
    return {
        "dicom": DicomReader(),
        "image-slices": SlicesReader(),
        "nifti": NiftiReader(),
        "numpy": ArrayReader(),
    }


def _unknown(path: Path) -> str:
    if path.is_dir():
        names = [file.name for file in files_in(path)]
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        said = f"among {', '.join(names[:6])}{more}" if names else "for it has no files"
        what = next(filter(None, map(foreign, files_in(path)[:_LOOKED_AT])), "")
        said += f"; one of them {what}" if what else ""
        return f"is a folder in which no scan was found, {said}"
    if what := foreign(path):
        return what
    first = head(path, 8)
    return f"is no scan of a known kind, and begins with {first!r}" if first else "is empty"


def _as_channels(scans: Sequence[Scan]) -> Scan:
    """Return scans of one patient and one grid as the channels of one.

    Raises:
        DataError: There are none, or they lie on different grids.
    """
    if not scans:
        raise DataError("no path was given; a scan has at least one file")
    first = scans[0].header
    if len({scan.header.path for scan in scans}) < len(scans):
        raise DataError(f"{first.path}: is given twice; channels of a scan are different files")
    for scan in scans[1:]:
        other = scan.header
        if other.shape != first.shape or not _same_grid(first.affine, other.affine):
            raise DataError(
                f"{other.path}: lies on another grid ({other.shape}, spacing {other.spacing}) "
                f"than {first.path} ({first.shape}, spacing {first.spacing}); channels of a scan "
                "have to share one. Resample them first"
            )
    values = np.stack([scan.values for scan in scans])
    notes = tuple(f"{scan.header.path}: {note}" for scan in scans for note in scan.notes)
    path = ", ".join(scan.header.path for scan in scans)
    return Scan(values, replace(first, path=path, shape=values.shape, notes=notes), notes)


def _same_grid(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=0, atol=1e-3))
