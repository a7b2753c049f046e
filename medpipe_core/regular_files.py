"""Read files that a user names, or that lie in somebody else's folder, without waiting or drowning.

Whoever opens a pipe waits for a writer, a device may never end, and a file may be larger than the
memory. What is asked for here is a regular file of a size that its content can have.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def open_regular_file(path: Path, largest: int | None = None) -> Iterator[IO[bytes]]:
    """Open a regular file to read bytes from it.

    Args:
        path: Where it is.
        largest: The most bytes that it may have; None for any number.

    Raises:
        OSError: It cannot be opened, is a device, pipe or socket, or is larger. `strerror` says so.
    """
    # Without waiting: on a regular file the flag means nothing.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        check_regular_file(os.fstat(handle), path, largest)
        yield file


def read_regular_file(path: Path, largest: int | None = None) -> bytes:
    """Return what a regular file holds.

    Args:
        path: Where it is.
        largest: The most bytes that it may have; None for any number.

    Raises:
        OSError: It cannot be read, is a device, pipe or socket, or is larger. `strerror` says so.
    """
    with open_regular_file(path, largest) as file:
        return file.read()


def check_regular_file(found: os.stat_result, path: Path, largest: int | None = None) -> None:
    """Refuse what is no regular file, or has more bytes than it may have.

    Raises:
        OSError: It is. `strerror` says so.
    """
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no file, but a device, pipe or socket", str(path))
    if largest is not None and found.st_size > largest:
        told = f"it has {found.st_size} bytes, and at most {largest} are read"
        raise OSError(errno.EFBIG, told, str(path))
