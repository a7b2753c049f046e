"""Writing a file so that it is either whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENOENT: "the folder is gone",
}


def write_atomically(path: Path, content: bytes | str) -> None:
    """Put a file in place whole, replacing one of that name.

    The content goes to a temporary file of its own beside it, is flushed to the disk, and takes
    the name in one step; a crash leaves the old file or the new one.

    Raises:
        StorageError: It cannot be written; a file of that name is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with writing(path):
        try:
            _write_through(temporary, data)
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def write_json(path: Path, content: Any) -> None:
    """Put a JSON file in place whole; NaN and infinity are refused.

    Raises:
        StorageError: It cannot be written.
        ValueError: JSON cannot hold the content.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk says against a file into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(
            f"cannot write {path}: {reason}. Free some space there, or choose another folder "
            "(run.root=FOLDER for a run, --out FOLDER for a comparison or an export)"
        ) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, where the system can."""
    if os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        written = 0
        view = memoryview(data)
        while written < len(view):  # a raw write may take less than it was given
            written += file.write(view[written:]) or 0
        os.fsync(file.fileno())
