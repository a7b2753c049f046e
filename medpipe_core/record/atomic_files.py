"""Writing a file so that it is either whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import tempfile
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import StorageError
from medpipe_core.regular_files import check_regular_file

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
        StorageError: It cannot be written, or is a device, pipe or socket; what has that name is as
            it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with writing(path):
        _refuse_special(path)
        try:
            _write_through(temporary, data)
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        StorageError: It cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def check_place(path: Path, *, folder: bool = False) -> None:
    """Refuse a place that cannot be written to, before the work whose result goes there.

    Its folder need not be there: what is made here on trial, and deleted, is an empty folder in the
    nearest one that is.

    Args:
        path: Where it is going to be.
        folder: Whether it is going to be a folder.

    Raises:
        StorageError: It cannot be.
    """
    with writing(path):
        if not folder and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
        if not folder:
            _refuse_special(path)
        try_folder(path if folder else path.parent)


def try_folder(path: Path) -> None:
    """Try whether files can be made in a folder, or in one that is to be made.

    Raises:
        OSError: They cannot.
    """
    there = next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))
    os.rmdir(tempfile.mkdtemp(prefix=".medpipe-", dir=there))


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
            f"cannot write {path}: {reason}. Free some space there, or choose another place "
            "(run.root=FOLDER for a run, --out or --csv for what a command writes)"
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


def _refuse_special(path: Path) -> None:
    """Refuse what is there and is no file: taking its name would destroy it for everybody."""
    if path.exists() and not path.is_dir():
        check_regular_file(path.stat(), path)


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        written = 0
        view = memoryview(data)
        while written < len(view):  # a raw write may take less than it was given
            written += file.write(view[written:]) or 0
        os.fsync(file.fileno())
