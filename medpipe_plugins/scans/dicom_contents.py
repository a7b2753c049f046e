"""A DICOMDIR, the table of contents of a medium (PS3.3, F): whether all that it names is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom

from medpipe_core.data import DataError
from medpipe_plugins.scans.dicom_values import texts
from medpipe_plugins.scans.door import files_below, told
from medpipe_plugins.scans.sniffing import has_dicom_preamble

if TYPE_CHECKING:
    from pathlib import Path


def contents_notes(path: Path) -> list[str]:
    """Say which files are missing that a table of contents names: that of a folder, or this one."""
    if path.is_dir():
        path = path / "DICOMDIR"
    if path.name.upper() != "DICOMDIR" or not path.is_file() or not has_dicom_preamble(path):
        return []
    try:
        with told(path, "table of contents"):
            ds = pydicom.dcmread(path, specific_tags=["DirectoryRecordSequence"])
            named = [_name(record) for record in ds.get("DirectoryRecordSequence") or ()]
    except DataError:
        return ["its DICOMDIR is damaged, so that files may be missing unseen"]
    there = {file.relative_to(path.parent).as_posix().upper() for file in files_below(path.parent)}
    missing = [name for name in named if name and name.upper() not in there]
    if not missing:
        return []
    return [
        f"{len(missing)} of {sum(map(bool, named))} files that its DICOMDIR names are not there, "
        f"such as {missing[0]}"
    ]


def _name(record: Any) -> str:
    return "/".join(texts(record.get("ReferencedFileID")))
