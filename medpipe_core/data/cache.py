"""A folder of prepared volumes, bounded in bytes, that several processes may share."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_MAGIC = b"medpipe prepared volume 1\n"
_LONGEST = 2**20  # bytes of an entry's description
_TYPES = ("uint8", "float32")
_LOCK, _WRITING = "lock", "writing"
# What is deleted at once beyond what is needed, so that not every volume has the folder looked at.
_SPARE = 0.1
_GIB = 2**30
_DAMAGED = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


class VolumeCache:
    """Prepared volumes by key, each a file that is whole or not there.

    A key says what a volume was made of, so an entry never has to be replaced. What was not asked
    for longest goes first where room is needed. An entry may be gone at any time, since another
    process may have needed the room: who reads has to be able to make it again. A process that is
    killed leaves what it has finished.

    Args:
        folder: Where it is; made where it is missing.
        most: Bytes that all entries may take.

    Raises:
        DataError: The folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], most: int) -> None:
        self.folder, self.most = Path(folder).expanduser(), most
        with self._told(), self._locked():
            pass

    def get(self, key: str) -> tuple[NDArray[Any], dict[str, Any]] | None:
        """Return a volume and what was said of it, checked bit by bit; None where it is not there.

        It counts as asked for now. An entry that is damaged is deleted.
        """
        path = self._path(key)
        try:
            found = _read(path, check=True)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, *_DAMAGED):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return found

    def read(self, key: str) -> NDArray[Any] | None:
        """Return a volume that `get` or `put` has seen in this process; None where it is gone."""
        try:
            return _read(self._path(key), check=False)[0]
        except (OSError, *_DAMAGED):
            return None

    def put(self, key: str, volume: NDArray[Any], about: Mapping[str, Any]) -> None:
        """Keep a volume, uint8 or float32, and what is to be said of it, plain data.

        Raises:
            DataError: It is larger than the bound, or cannot be written.
        """
        volume = np.ascontiguousarray(volume)
        head = _head(volume, about)
        needed = len(head) + volume.nbytes
        if needed > self.most:
            raise DataError(
                f"the cache may take {self.most / _GIB:.3g} GiB, and one prepared volume takes "
                f"{needed / _GIB:.3g}; let it take more (data.cache_gib), or leave data.cache out"
            )
        path = self._path(key)
        with self._told(), self._locked() as size:
            if path.exists():
                return
            total = size.read()
            if total is None or total + needed > self.most:
                total = self._make_room(needed)
            # Counted first: a process that is killed here leaves too high a number, which the next
            # look at the folder corrects.
            size.write(total + needed)
            path.parent.mkdir(exist_ok=True)
            temporary = self.folder / _WRITING  # there is one writer at a time
            with temporary.open("wb") as file:
                file.write(head)
                file.write(volume.data)
            os.replace(temporary, path)

    def _make_room(self, needed: int) -> int:
        """Delete what was not asked for longest until there is room; return what is left."""
        entries = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                entries.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in entries)
        if total + needed <= self.most:
            return total
        wanted = max(self.most * (1 - _SPARE), needed) - needed
        for _, size, path in sorted(entries):
            if total <= wanted:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[_Size]:
        """Hold the lock of the folder, which the system lets go of when a process ends."""
        self.folder.mkdir(parents=True, exist_ok=True)  # also where it was deleted meanwhile
        file = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                _lock(file)
            yield _Size(file)
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"the cache in {self.folder} cannot be written ({error.strerror or error}); free "
                "some space there, name another folder (data.cache=FOLDER), or leave it out"
            ) from error


class CachedVolumes:
    """Volumes of a cache as one array that is read on demand, a source of `StoredVolumes`.

    Args:
        cache: Where they are.
        keys: Key of each.
        make: Makes the volume of a row again, where it is not in the cache any more.
        shape: `(channel, *space)` of a volume.
        dtype: Type of its voxels.
    """

    def __init__(
        self,
        cache: VolumeCache,
        keys: Sequence[str],
        make: Callable[[int], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self._cache, self._keys, self._make = cache, tuple(keys), make
        self.shape, self.dtype = (len(self._keys), *shape), np.dtype(dtype)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = np.arange(len(self))[rows]
        read = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, row in zip(read, wanted, strict=True):
            found = self._cache.read(self._keys[row])
            place[...] = self._make(int(row)) if found is None else found
        return read


class _Size:
    """The bytes of all entries, as the lock's file says; asked and told by who holds the lock."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self) -> int | None:
        """Return it, or None where nobody has counted."""
        os.lseek(self._file, 0, os.SEEK_SET)
        text = os.read(self._file, 32)
        return int(text) if text.strip().isdigit() else None

    def write(self, size: int) -> None:
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, b"%20d\n" % size)


def _head(volume: NDArray[Any], about: Mapping[str, Any]) -> bytes:
    said = {
        "shape": volume.shape,
        "dtype": str(volume.dtype),
        "crc32": _checksum(volume, about),
        "about": about,
    }
    return _MAGIC + json.dumps(said, allow_nan=False).encode() + b"\n"


def _read(path: Path, *, check: bool) -> tuple[NDArray[Any], dict[str, Any]]:
    """Read an entry.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, as the others of `_DAMAGED` say, too.
    """
    with path.open("rb") as file:
        if file.readline(len(_MAGIC)) != _MAGIC:
            raise ValueError("not an entry")
        said = json.loads(file.readline(_LONGEST))
        shape, dtype = tuple(map(int, said["shape"])), str(said["dtype"])
        if dtype not in _TYPES or min(shape, default=0) < 1:
            raise ValueError("an impossible description")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if os.fstat(file.fileno()).st_size - file.tell() != size:
            raise ValueError("of another size than it says")
        volume = np.empty(shape, dtype)
        if file.readinto(volume.data.cast("B")) != size:
            raise ValueError("cut short")
    if check and _checksum(volume, said["about"]) != said["crc32"]:
        raise ValueError("not what was written")
    return volume, said["about"]


def _checksum(volume: NDArray[Any], about: Mapping[str, Any]) -> int:
    return zlib.crc32(volume.data, zlib.crc32(json.dumps(about).encode()))


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 64, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
