"""The door that every file comes in by: what may be opened, how large, and errors in words."""

from __future__ import annotations

import gzip
import importlib
import math
import os
import re
import stat
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medpipe_core import MedpipeError, MissingExtraError, did_you_mean
from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

MOST_VOXELS = 2**30
"""The most voxels of a scan: 1024 cubed, 4 GiB in memory."""

MOST_FILES = 100_000
"""The most files of a folder that are looked at."""

DEFLATE_RATIO = 1032
"""The most bytes that one byte of a deflate stream can stand for."""

MOST_AT_ONCE = 256 << 20
"""The most bytes that are inflated at once."""

_ADDRESS = re.compile(r"(^|/)(https?|ftp|s3|gs|file):/")
_BLOCK = 1 << 20
_HEAD = 1 << 17
_GZIP = b"\x1f\x8b"
_GZIP_BITS = 16 + zlib.MAX_WBITS


@contextmanager
def told(path: Path | str, what: str) -> Iterator[None]:
    """Turn whatever a library raises on a broken file into one error that names the file.

    Libraries raise nearly any exception on a file that was damaged in the right place, and warn of
    what they mend; what matters of that is found here by checks of our own.

    Raises:
        DataError: Something inside raised an error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MedpipeError:
        raise
    except MemoryError:
        raise DataError(f"{path}: there is not enough memory to read this {what}") from None
    except Exception as error:  # see above
        said = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path}: cannot be read as {what} ({type(error).__name__}: {said})"
        ) from error


def room(name: str) -> Any:
    """Import a module of this package that needs the extra `scans`.

    Raises:
        MissingExtraError: A package that it needs is not installed.
    """
    try:
        return importlib.import_module(f"medpipe_plugins.scans.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("medpipe_plugins"):
            raise
        raise MissingExtraError(
            f"reading scans needs the package {error.name!r}, which is not installed: "
            'pip install "medpipe[scans]"'
        ) from None


def existing(path: str | os.PathLike[str]) -> Path:
    """Return a path of a regular file or a folder.

    Raises:
        DataError: There is nothing, something else (a pipe, a device), or it may not be read.
    """
    found = Path(path)
    if path == "":
        raise DataError("an empty text is no path of a scan")
    try:
        found = found.expanduser()
        mode = found.stat().st_mode
        if stat.S_ISDIR(mode):
            next(found.iterdir(), None)
            return found
        if stat.S_ISREG(mode):
            with found.open("rb"):
                return found
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file or folder{_near(found)}") from None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero, no such user
        raise DataError(f"{path}: cannot be opened ({error})") from None
    raise DataError(f"{path}: is neither a file nor a folder, but a device, pipe or socket")


def head(path: Path, count: int, *, inflate: bool = False) -> bytes:
    """Return the first bytes of a regular file, inflated where asked; none if it cannot be read.

    Made for readers that look whether a path is theirs: nothing is raised.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            first = os.read(file, count)
            if inflate and first.startswith(_GZIP):
                first += os.read(file, _HEAD)
                return bytes(zlib.decompressobj(_GZIP_BITS).decompress(first, count))
        finally:
            os.close(file)
        return first
    except (OSError, EOFError, ValueError, zlib.error):
        return b""


def opened(path: Path) -> IO[bytes]:
    """Open a file, inflating it if its content, not its name, says that it is a gzip file."""
    stream = path.open("rb")
    if stream.read(2) == _GZIP:
        stream.close()
        return cast("IO[bytes]", gzip.open(path, "rb"))
    stream.seek(0)
    return stream


def inflated(path: Path, size: int) -> bytes | None:
    """Return what a gzip file of one part inflates to, at once, which is faster than in a stream.

    None for anything else: it is large, or does not inflate to just so many bytes without an error.
    Reading it as a stream then says what it is.
    """
    if size > MOST_AT_ONCE or not is_gzip(path) or path.stat().st_size > MOST_AT_ONCE:
        return None
    content = path.read_bytes()
    end = content[-8:]  # checksum and size: of one part, they stand at the end alone
    if int.from_bytes(end[4:], "little") != size or content.find(end) != len(content) - 8:
        return None
    try:
        from imagecodecs import gzip_decode

        found = bytes(gzip_decode(content, out=size))
    except (ImportError, RuntimeError, ValueError):
        return None
    return found if len(found) == size else None


def is_gzip(path: Path) -> bool:
    """Say whether the content of a file is gzip's."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def files_in(folder: Path) -> list[Path]:
    """Return the regular files of a folder, sorted, without hidden ones.

    Raises:
        DataError: It cannot be read, or has too many.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and os.path.isfile(entry.path):
                    found.append(entry.name)
                if len(found) > MOST_FILES:
                    raise DataError(
                        f"{folder}: more than {MOST_FILES} files; name a folder of one scan"
                    )
    except OSError as error:
        raise DataError(f"{folder}: cannot be opened ({error})") from None
    return [folder / name for name in sorted(found)]


def files_below(folder: Path) -> list[Path]:
    """Return the regular files of a folder and its sub-folders, without hidden ones.

    Folders that are links are not followed.

    Raises:
        DataError: There are too many.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        within = Path(parent)
        for name in sorted(names):
            if not name.startswith(".") and os.path.isfile(os.path.join(parent, name)):
                found.append(within / name)
        if len(found) > MOST_FILES:
            raise DataError(f"{folder}: more than {MOST_FILES} files; name a folder of one scan")
    return found


def check_size(path: Path | str, shape: Sequence[int]) -> None:
    """Refuse a scan that would be empty or too large, before memory is taken for it.

    Raises:
        DataError: It would.
    """
    said = " × ".join(str(n) for n in shape)
    if any(n < 1 for n in shape):
        raise DataError(f"{path}: says that it has {said} voxels; every axis needs at least one")
    if math.prod(shape) > MOST_VOXELS:
        raise DataError(
            f"{path}: says that it has {said} voxels, more than the {MOST_VOXELS} that a scan may "
            "have. Cut or resample it first, if that is what it really has"
        )


def read_exactly(stream: IO[bytes], count: int, path: Path) -> bytearray:
    """Read so many bytes.

    Raises:
        DataError: The file ends before.
    """
    found, done = bytearray(count), 0
    view = memoryview(found)
    while done < count and (got := stream.readinto(view[done : done + 64 * _BLOCK])):  # type: ignore[attr-defined]
        done += got
    if done < count:
        raise DataError(f"{path}: truncated: {count - done} of {count} bytes are missing")
    return found


def skip(stream: IO[bytes], count: int, path: Path) -> None:
    """Pass over so many bytes of a stream.

    Raises:
        DataError: The file ends before.
    """
    while count:
        count -= len(read_exactly(stream, min(count, _BLOCK), path))


def rest(stream: IO[bytes], most: int) -> int:
    """Read to the end of a stream, whose checksum is checked by that; return the bytes found.

    Stops after `most` bytes, for streams that never seem to end.
    """
    found = 0
    while found <= most and (part := stream.read(_BLOCK)):
        found += len(part)
    return found


def _near(path: Path) -> str:
    if _ADDRESS.search(path.as_posix()):
        return ": this is an address; nothing is fetched. Load it down, and name the file"
    if "\\" in path.name and os.sep == "/":
        return ". '\\' stands between folders on Windows alone; '/' does everywhere"
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return f"; there is no folder {path.parent} either"
    return "." + did_you_mean(path.name, names)
