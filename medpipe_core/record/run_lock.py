"""The lock of a run folder: one process at a time works on a run."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from medpipe_core.config.errors import RunFolderError, StorageError
from medpipe_core.record.atomic_files import writing

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

NAME = "run.lock"
_BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
_CANNOT = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class RunLockedError(RunFolderError):
    """Another process works on the run."""


def is_locked(folder: Path) -> bool:
    """Say whether another process works on the run, leaving no trace."""
    if not (folder / NAME).exists():
        return False
    try:
        RunLock(folder).close()
    except RunLockedError:
        return True
    except StorageError:  # nobody may write here
        return False
    return False


class RunLock:
    """Holds the lock of a run folder while it is open.

    The system holds it for the process and lets go when that ends, however it ends; on a network
    file system that knows `flock` it holds between machines. The file stays; it says nothing.

    Args:
        folder: The run's folder.

    Attributes:
        held: Whether it is held; not where the file system knows no locks.

    Raises:
        RunLockedError: Another process holds it.
        StorageError: The file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        with writing(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # not inherited by workers
        try:
            _lock(self._file)
            self.held = True
        except OSError as error:
            if error.errno in _CANNOT:
                self.held = False
                return
            os.close(self._file)
            if error.errno not in _BUSY:
                raise
            raise RunLockedError(
                f"another process works on the run in {folder}; wait for it, or end it"
            ) from error

    def close(self) -> None:
        """Let go."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
