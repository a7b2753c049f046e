"""The DICOM files of a folder, and what lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import files_below, head
from medpipe_plugins.scans.sniffing import is_dicom

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIXES = {".dcm", ".dicom", ".ima"}


@dataclass(frozen=True)
class DicomFiles:
    """What a folder holds.

    Attributes:
        files: The DICOM files, by name.
        passed_over: Other files, with the reason.
    """

    files: tuple[Path, ...]
    passed_over: tuple[tuple[Path, str], ...]


def has_dicom(folder: Path) -> bool:
    """Say whether there is a DICOM file anywhere in a folder; stops at the first."""
    return any(is_dicom(path) for path in files_below(folder))


def find_dicom(path: Path) -> DicomFiles:
    """Return the DICOM files of a folder and its sub-folders, or the one file.

    A DICOMDIR is the table of contents of the folder that it lies in, and stands for it. Folders
    that are links are not followed.

    Raises:
        DataError: A file that calls itself DICOM is none: it may be a slice that would be missing.
    """
    if path.is_file():
        if path.name.upper() != "DICOMDIR":
            return DicomFiles((path,), ())
        path = path.parent
    files, passed_over = [], []
    for found in files_below(path):
        if found.name.upper() == "DICOMDIR":
            continue
        if is_dicom(found):
            files.append(found)
        elif not head(found, 1):
            passed_over.append((found, "is empty, or cannot be opened"))
        elif found.suffix.lower() in _SUFFIXES:
            raise DataError(
                f"{found}: is no DICOM file, in spite of its name; it may be a damaged slice. Mend "
                "it, or take it out of the folder"
            )
        else:
            passed_over.append((found, "is no DICOM file"))
    return DicomFiles(tuple(files), tuple(passed_over))
