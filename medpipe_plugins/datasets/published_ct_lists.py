"""The lists that the authors of published CT sets give: class, patient, scan, names of slices."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medpipe_core import did_you_mean, open_regular_file
from medpipe_core.data import DataError
from medpipe_plugins.datasets.folder_manifest import Case, entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LARGEST = 64 * 2**20


class Listed(NamedTuple):
    """A scan of a list, or of a folder.

    Attributes:
        label: The folder of its class, as published.
        patient: Folder of its patient.
        scan: Its own folder.
        files: Names of its files, in their order; empty where the folder is read whole.
        doubles: Names that the list has more than once.
    """

    label: str
    patient: str
    scan: str
    files: tuple[str, ...]
    doubles: int = 0


class PublishedList(NamedTuple):
    """A list: its scans, and the patients that it names without any.

    Attributes:
        scans: Its scans.
        empty: Class and patient of those without scans.
    """

    scans: Sequence[Listed]
    empty: Sequence[tuple[str, str]] = ()


def read_list(path: Path) -> PublishedList:
    """Read a list, as JSON or gzipped JSON: `{class: {patient: {scan: [name of a slice, …]}}}`.

    A name that stands in a list more than once counts once, where it stands first.

    Raises:
        DataError: It cannot be read, or is no such list.
    """
    content = _content(path)
    found = []
    for label, patient, scan, files in _scans(path, content):
        where = f"{path}: {label}/{patient}/{scan}"
        if not isinstance(files, list) or not files:
            raise DataError(f"{where}: is {files!r}, not a list of file names")
        for name in (label, patient, scan, *files):
            if not _is_name(name):
                raise DataError(f"{where}: {name!r} is no name of a file or folder")
        once = tuple(dict.fromkeys(files))
        found.append(Listed(label, patient, scan, once, len(files) - len(once)))
    if not found:
        raise DataError(f"{path}: names no scan")
    empty = [
        (label, who) for label, whose in content.items() for who, has in whose.items() if not has
    ]
    return PublishedList(found, empty)


def list_file(root: Path, name: str) -> Path:
    """Return where a list is: as it is named, or with `.gz`.

    Raises:
        DataError: It is not there.
    """
    path = root / Path(name).expanduser()
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    there = [entry.name for entry in root.glob("*.json*")] if root.is_dir() else []
    raise DataError(
        f"there is no list {path}; put the authors' lists there, or split all scans anew with "
        f"dataset.split=own.{did_you_mean(Path(name).name, there)}"
    )


def scans_in_folders(images: Path, classes: Mapping[str, str], *, flat: bool) -> PublishedList:
    """Return all scans in the published layout, for a split of one's own.

    Args:
        images: Folder with a folder for each class.
        classes: Folder of a class → name of the class.
        flat: Whether a class's folder holds scans as files, and not patients with folders of scans.

    Raises:
        DataError: There is no scan.
    """
    found = []
    for label in classes:
        folder = images / label
        if not folder.is_dir():
            continue
        for entry in entries(folder):
            if flat:
                number = entry.name.split(".")[0].rpartition("_")[2]
                found.append(Listed(label, number, number, (entry.name,)))
            elif entry.is_dir():
                scans = (scan.name for scan in entries(entry) if scan.is_dir())
                found += [Listed(label, entry.name, scan, ()) for scan in scans]
    if not found:
        raise DataError(f"{images}: has no scans in folders {', '.join(classes)}")
    return PublishedList(found)


def as_case(scan: Listed, images: Path, label: str, part: str, *, flat: bool) -> Case:
    """Return a listed scan as a case, in the published layout."""
    name = "/".join(dict.fromkeys((scan.label, scan.patient, scan.scan)))
    if flat:
        return Case(name, (images / scan.label / scan.files[0],), label, scan.patient, part)
    folder = images / scan.label / scan.patient / scan.scan
    return Case(name, (folder,), label, scan.patient, part, scan.files)


def _content(path: Path) -> Any:
    try:
        with open_regular_file(path) as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise DataError(f"{path}: larger than a list of scans can be (64 MiB)")
        return json.loads(text)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot read the list {path}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from None


def _scans(path: Path, content: Any) -> Iterator[tuple[str, str, str, Any]]:
    if not isinstance(content, dict):
        raise DataError(f"{path}: a list is {{class: {{patient: {{scan: [name, …]}}}}}}")
    for label, patients in content.items():
        if not isinstance(patients, dict):
            raise DataError(f"{path}: {label} is {type(patients).__name__}, not {{patient: …}}")
        for patient, scans in patients.items():
            if not isinstance(scans, dict):
                raise DataError(f"{path}: {label}/{patient} is no {{scan: [name, …]}}")
            for scan, files in scans.items():
                yield label, patient, scan, files


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip(".")) and not set(name) & set("/\\\0")
