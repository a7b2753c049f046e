"""Which scans there are: from a manifest, or from folders named by class."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core import did_you_mean, read_regular_file
from medpipe_core.data import DataError
from medpipe_plugins.scans.sniffing import nifti_partner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTS = ("train", "validation", "test")
_ALSO = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "testing": "test",
}
_KNOWN = ("path", "label", "patient", "split")
_COLUMNS = {
    **dict.fromkeys(("file", "filename", "image"), "path"),
    "class": "label",
    **dict.fromkeys(
        ("patientid", "subject", "subjectid", "participant", "participantid"), "patient"
    ),
    **dict.fromkeys(("part", "set", "subset", "partition"), "split"),
}
_BETWEEN = re.compile(r"[\s_-]+")
NO_VALUE = frozenset({"na", "n/a", "nan", "null", "#n/a", "<na>"})
"""What programs write into a table where a value is missing, in small letters."""
_BESIDE = frozenset(
    {
        ".bval",
        ".bvec",
        ".csv",
        ".db",
        ".ini",
        ".json",
        ".log",
        ".md",
        ".pdf",
        ".tsv",
        ".txt",
        ".xml",
    }
)
_LARGEST = 64 * 2**20
_SHOWN = 20


@dataclass(frozen=True)
class Case:
    """One scan of the set.

    Attributes:
        name: How it is called: as its path stands in the manifest, or below the folder.
        paths: Its files or folders, one for each channel.
        label: The name of its class; empty where none is given.
        patient: Whose it is; empty where that is not said.
        part: train, validation or test; empty where that is not said.
        slices: Names of the images in its folder that are the scan, in their order; empty where it
            is read whole.
        unread: Columns of its manifest that are not read.
    """

    name: str
    paths: tuple[Path, ...]
    label: str
    patient: str = ""
    part: str = ""
    slices: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read_cases(manifest: str | None, root: str | None) -> list[Case]:
    """Return the scans of a manifest, else of the folders in `root`.

    Raises:
        DataError: There is neither, or what there is cannot be understood.
    """
    if manifest is not None:
        path = Path(manifest).expanduser()
        folder = path.parent if root is None else Path(root).expanduser()
        return _cases(path, folder, ("path", "label"))
    if root is None:
        raise DataError(
            "say where the scans are: data.manifest=FILE names a table with the columns path and "
            "label, data.root=FOLDER a folder with a folder for each class"
        )
    return _cases_by_folder(Path(root).expanduser())


def read_paths(table: Path) -> list[Case]:
    """Return the scans that a table names; it is a manifest that need not have classes.

    Paths are relative to it.

    Raises:
        DataError: It cannot be understood, or names no scan.
    """
    return _cases(table, table.parent, ("path",))


def _cases(manifest: Path, folder: Path, wanted: Sequence[str]) -> list[Case]:
    """Return the scans that a manifest names; what is wrong with its rows is told at once.

    Raises:
        DataError: It cannot be understood, or names no scan.
    """
    cases, problems = [], []
    for row, where in _rows(manifest, wanted):
        try:
            cases.append(_case(row, where, folder))
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = f"\n… and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DataError("\n".join(problems[:_SHOWN]) + more)
    if not cases:
        raise DataError(f"{manifest}: names no scan")
    return cases


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[dict[str, Any] | str, str]]:
    """Iterate over the rows of a manifest, or what is wrong with one, with where each stands."""
    try:
        text = read_regular_file(path, _LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or (
            "it is no text in UTF-8; save it as such (in Excel: 'CSV UTF-8')"
        )
        raise DataError(f"cannot read the manifest {path}: {reason}") from None
    if path.suffix.lower() == ".json" or text.lstrip().startswith(("[", "{")):
        yield from _json_rows(path, text, wanted)
        return
    header = next(iter(text.splitlines()), "")
    delimiter = next((sign for sign in ",\t;" if sign in header), ",")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = _columns(path, next(reader, []), wanted)
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if any(field.strip() for field in row):
                if [_column(field) for field in row] == columns:
                    yield "names the columns again, as of joined tables; take it out", where
                elif len(row) != len(columns):
                    yield f"{len(row)} fields for {len(columns)} columns", where
                else:
                    yield dict(zip(columns, row, strict=True)), where
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None


def _json_rows(
    path: Path, text: str, wanted: Sequence[str]
) -> Iterator[tuple[dict[str, Any] | str, str]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(rows, list):
        raise DataError(f'{path}: a manifest is a list of {{"path": …, "label": …}}')
    for number, row in enumerate(rows, 1):
        where = f"{path}, entry {number}"
        if not isinstance(row, dict):
            raise DataError(f'{where}: {row!r} is not {{"path": …, "label": …}}')
        yield dict(zip(_columns(Path(where), list(row), wanted), row.values(), strict=True)), where


def _column(name: str) -> str:
    """Return what a column is called here, or its own name in small letters."""
    name = name.strip().lower()
    plain = _BETWEEN.sub("", name)
    return _COLUMNS.get(plain, plain if plain in _KNOWN else name)


def _columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return what the columns of a table are called here.

    Raises:
        DataError: One that is wanted is not there, or one is there twice.
    """
    columns = [_column(name) for name in names]
    for name in _KNOWN:
        count = columns.count(name)
        if count > 1 or (count == 0 and name in wanted):
            found = ", ".join(" ".join(given.split()) for given in names)[:200] or "none"
            also = " or ".join(repr(other) for other, of in _COLUMNS.items() if of == name)
            raise DataError(
                f"{path}: has to have one column {name!r} ({also} will do), and has "
                f"{count or 'none'}; its columns are {found}. The first line has the names of the "
                "columns"
            )
    return columns


def _case(row: dict[str, Any] | str, where: str, folder: Path) -> Case:
    if isinstance(row, str):
        raise DataError(f"{where}: {row}")
    given = row["path"]
    texts = given.split(";") if isinstance(given, str) else given
    if (
        not isinstance(texts, list)
        or not texts
        or not all(isinstance(text, str) and text.strip() for text in texts)
    ):
        raise DataError(f"{where}: {given!r} is no path, nor several with ';' between them")
    texts = [text.strip() for text in texts]
    if len(set(texts)) < len(texts):
        raise DataError(f"{where}: {given!r} names a file twice; channels are different files")
    patient = _text(row.get("patient"), where, "patient")
    part = _text(row.get("split"), where, "split").lower()
    part = _ALSO.get(part, part)
    if part and part not in PARTS:
        raise DataError(f"{where}: there is no split {part!r}.{did_you_mean(part, PARTS)}")
    return Case(
        ";".join(texts),
        tuple(folder / os.path.expanduser(text) for text in texts),
        _text(row.get("label"), where, "label"),
        "" if patient.lower() in NO_VALUE else patient,
        part,
        unread=tuple(name for name in row if name and name not in _KNOWN),
    )


def _text(value: Any, where: str, column: str) -> str:
    """Return a text, whole number or null as the text that a table would have of it."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: {column} is {value!r}, not a text or a whole number")
    return str(value).strip()


def _cases_by_folder(root: Path) -> list[Case]:
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; data.root names one with a folder per class")
    found = _folders(root)
    parts = [_ALSO.get(folder.name.lower(), folder.name.lower()) for folder in found]
    named = [part for part in parts if part in PARTS]
    if 1 < len(named) < len(parts):
        others = ", ".join(
            f.name for f, part in zip(found, parts, strict=True) if part not in PARTS
        )
        raise DataError(
            f"{root}: has folders for {' and '.join(named)}, and beside them {others}; folders are "
            "either parts or classes. Take the others out, or name scans in a manifest"
        )
    if found and len(named) == len(parts):
        pairs = zip(found, parts, strict=True)
        classes = [(inner, part) for folder, part in pairs for inner in _folders(folder)]
    else:
        classes = [(folder, "") for folder in found]
    cases = [
        Case(entry.relative_to(root).as_posix(), (entry,), folder.name, part=part)
        for folder, part in classes
        for entry in entries(folder)
    ]
    if not cases:
        raise DataError(f"{root}: has no folder for each class, with scans in it")
    return cases


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in entries(folder) if entry.is_dir()]


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, without hidden files, texts and the voxels that a .hdr names.

    Raises:
        DataError: It cannot be opened.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be opened ({error.strerror})") from None
    return [entry for entry in entries if entry.is_dir() or not _beside(entry)]


def _beside(file: Path) -> bool:
    """Say whether a file only lies beside scans: a text, or the voxels that a header names."""
    if file.suffix.lower() in _BESIDE:
        return True
    voxels = file.name.lower().endswith((".img", ".img.gz"))
    return voxels and nifti_partner(file) is not None
