"""Checksums of the files of a finished run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from medpipe_core.record.atomic_files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_BLOCK = 2**20


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
        told = json.loads(path.read_text(encoding="utf-8"))
        files = [(name, dict(known)) for name, known in told.items()]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        yield f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}"
        return
    for name, known in files:
        file = path.parent / str(name).replace("/", "_")
        try:
            now = _told(file)
        except OSError as error:
            yield f"{name}: {error.strerror or error}"
            continue
        if now["bytes"] != known.get("bytes"):
            yield f"{name}: {now['bytes']} bytes, not {known.get('bytes')}"
        elif now != known:
            yield f"{name}: its content has changed"


def delete_files(folder: Path) -> None:
    """Delete what is in a folder of files that nobody needs any more."""
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # it only takes room
            file.unlink()


def _told(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": file.stat().st_size}
