"""Checksums of the files of a finished run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.atomic_files import write_json
from medpipe_core.regular_files import open_regular_file, read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_BLOCK = 2**20
_LARGEST = 2**20


def write_checksums(path: Path, files: Iterable[Path]) -> None:
    """Write the SHA-256 and size of files beside them.

    Raises:
        StorageError: It cannot be written.
    """
    write_json(path, {file.name: _told(file) for file in files})


def damaged_files(path: Path) -> Iterator[str]:
    """Say which files are not as they were when their checksums were written.

    Args:
        path: The file of checksums.
    """
    try:
        files = read_checksums(path)
    except RunFolderError as error:
        yield str(error)
        return
    for name, known in files.items():
        damage = _damage(path.parent / name.replace("/", "_"), known)
        if damage:
            yield f"{name}: {damage}"


def check_file(path: Path, name: str) -> None:
    """Refuse a file that is not as it was when its checksum was written.

    One that has no checksum, since it came later, is as good as any.

    Args:
        path: The file of checksums.
        name: The file beside it.

    Raises:
        RunFolderError: It has changed or is gone, or the checksums cannot be read.
    """
    known = read_checksums(path).get(name)
    damage = None if known is None else _damage(path.parent / name, known)
    if damage:
        raise RunFolderError(
            f"{path.parent / name} is not as the run left it: {damage}. Put it back as it was; if "
            f"it was changed on purpose, delete {path.name} there, and nothing is compared"
        )


def read_checksums(path: Path) -> dict[str, dict[str, Any]]:
    """Read what is known of each file: `sha256` and `bytes`, by its name.

    Raises:
        RunFolderError: It cannot be read.
    """
    try:
        told = json.loads(read_regular_file(path, _LARGEST))
        return {str(name): dict(known) for name, known in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunFolderError(f"{path} cannot be read: {reason}") from error


def delete_files(folder: Path) -> None:
    """Delete what is in a folder of files that nobody needs any more."""
    for file in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # it only takes room
            file.unlink()


def _damage(file: Path, known: Mapping[str, Any]) -> str:
    """Say how a file differs from what is known of it; nothing where it does not."""
    try:
        with open_regular_file(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != known.get("bytes"):  # before all of it is read
                return f"{size} bytes, not {known.get('bytes')}"
        return "" if _told(file) == known else "its content has changed"
    except OSError as error:
        return error.strerror or str(error)


def _told(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with open_regular_file(file) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": file.stat().st_size}
