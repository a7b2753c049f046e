"""The readers that this package registers: what each takes, told by content, and where it reads.

None of the libraries is imported before a file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import files_below, files_in, room, told
from medpipe_plugins.scans.sniffing import (
    image_format,
    is_array,
    is_dicom,
    is_nifti,
    nifti_partner,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from medpipe_plugins.scans.scan import Scan, ScanHeader


class _OneDoor:
    """What readers share: header and scan come through one call, checked and told alike."""

    def header(
        self, path: Path, *, series: str | int | None = None, volume: int | None = None
    ) -> ScanHeader:
        """Return what the headers say; no voxel is read."""
        return self._do("header", path, series, volume)  # type: ignore[no-any-return]

    def read(
        self, path: Path, *, series: str | int | None = None, volume: int | None = None
    ) -> Scan:
        """Read a scan."""
        return self._do("read", path, series, volume)  # type: ignore[no-any-return]

    def _do(self, what: str, path: Path, series: str | int | None, volume: int | None) -> Any:
        """Do `header` or `read`, by that name, in the format's own module."""
        raise NotImplementedError


class NiftiReader(_OneDoor):
    """Reads NIfTI files, and folders with one of them."""

    def reads(self, path: Path) -> bool:
        """Say whether a path is a NIfTI file, or a folder with any."""
        return _is_or_has(path, is_nifti)

    def files(self, path: Path) -> list[Path]:
        """Return the files of a scan: one, or a pair."""
        file = _only(path, is_nifti, "NIfTI")
        partner = nifti_partner(file)
        return [file] if partner is None else [file, partner]

    def _do(self, what: str, path: Path, series: str | int | None, volume: int | None) -> Any:
        file = _only(path, is_nifti, "NIfTI")
        _no_series(path, series)
        with told(file, "NIfTI"):
            return getattr(room("nifti"), what)(file, volume=volume)


class DicomReader(_OneDoor):
    """Reads DICOM files, and folders with one series or several."""

    def reads(self, path: Path) -> bool:
        """Say whether a path is a DICOM file, or a folder with any, also in sub-folders."""
        if path.is_dir():
            from medpipe_plugins.scans.dicom_files import has_dicom

            return has_dicom(path)
        return is_dicom(path)

    def files(self, path: Path) -> list[Path]:
        """Return the files of a scan; for a table of contents, all that lie below its folder."""
        if path.name.upper() == "DICOMDIR":
            return files_below(path.parent)
        return files_below(path) if path.is_dir() else [path]

    def _do(self, what: str, path: Path, series: str | int | None, volume: int | None) -> Any:
        with told(path, "DICOM"):
            return getattr(room("dicom"), what)(path, series=series, volume=volume)


class SlicesReader(_OneDoor):
    """Reads PNG, TIFF and JPEG files, and folders of them, as slices."""

    def reads(self, path: Path) -> bool:
        """Say whether a path is an image, or a folder most of whose files are."""
        if not path.is_dir():
            return bool(image_format(path))
        files = files_in(path)
        return 2 * sum(bool(image_format(file)) for file in files) > len(files)

    def _do(self, what: str, path: Path, series: str | int | None, volume: int | None) -> Any:
        _no_series(path, series)
        if volume not in (None, 0):
            raise DataError(f"{path}: slices are one volume; there is no volume {volume}")
        with told(path, "slices"):
            return getattr(room("slices"), what)(path)


class ArrayReader(_OneDoor):
    """Reads .npy and .npz files, and folders with one of them."""

    def reads(self, path: Path) -> bool:
        """Say whether a path is an .npy or .npz file, or a folder with any."""
        return _is_or_has(path, is_array)

    def _do(self, what: str, path: Path, series: str | int | None, volume: int | None) -> Any:
        file = _only(path, is_array, "numpy")
        with told(file, "numpy"):
            return getattr(room("arrays"), what)(file, series=series, volume=volume)


def _is_or_has(path: Path, fits: Callable[[Path], bool]) -> bool:
    return any(fits(file) for file in files_in(path)) if path.is_dir() else fits(path)


def _only(path: Path, fits: Callable[[Path], bool], kind: str) -> Path:
    """Return the one file of a folder that is meant, or the file itself.

    Raises:
        DataError: The folder has several.
    """
    if not path.is_dir():
        return path
    found = [file for file in files_in(path) if fits(file)]
    pairs = {
        nifti_partner(file) for file in found if file.name.lower().endswith((".hdr", ".hdr.gz"))
    }
    found = [file for file in found if file not in pairs]
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:12])
        raise DataError(f"{path}: holds {len(found)} {kind} files, each a scan; name one: {names}")
    return found[0]


def _no_series(path: Path, series: str | int | None) -> None:
    if series not in (None, "", "largest"):
        raise DataError(f"{path}: has no series to choose from; {series!r} was asked for")
