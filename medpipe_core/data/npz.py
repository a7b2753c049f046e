"""Arrays in an npz file that somebody put into the data folder; nothing is unpickled."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from numpy.typing import NDArray

DATA_FOLDER_VARIABLE = "MEDPIPE_DATA"
"""The environment variable that names the data folder."""

_MOST_AXES = 32
_COMPRESSIONS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}
_ENCRYPTED = 0x1
# Deflate makes at most about 1032 bytes of one.
_EXPANSION = 1100
# Bytes below which nobody asks how much memory is left.
_LARGE = 2**28
_SHOWN = 80


def data_folder(root: str | Path | None = None) -> Path:
    """Return the folder that data files are in: `root`, else $MEDPIPE_DATA, else ./data."""
    return Path(root or os.environ.get(DATA_FOLDER_VARIABLE) or "data").expanduser()


def data_file(name: str, root: str | Path | None = None, *, remedy: str = "") -> Path:
    """Return the path of a file in the data folder.

    Args:
        name: The file's name.
        root: The folder, as a run has it from `data.root`; `data_folder` says what None means.
        remedy: Where the file can be had or how it is made, for the message.

    Raises:
        DataError: It is not there.
    """
    path = data_folder(root) / name
    if not path.is_file():
        raise DataError(
            f"there is no file {name!r} in {path.parent.absolute()}; put it there, or name its "
            f"folder with data.root=FOLDER{'. ' if remedy else ''}{remedy}"
        )
    return path


def npz_shape(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of an array in an npz file; only its header is read.

    Raises:
        DataError: The file is no npz, or has no array of that name that can be read.
    """
    return npz_header(path, name)[0]


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type of an array in an npz file; only its header is read.

    Raises:
        DataError: The file is no npz, or has no array of that name that can be read.
    """
    with _archive(path) as archive, _opened(archive, name) as (header, _):
        return header.shape, header.dtype


def read_npz(path: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """Read arrays of an npz file that anybody may have made, in the order of `names`.

    Headers are read first. Memory is taken for an array only where the file can hold it and the
    machine has it left; nothing is unpickled.

    Raises:
        DataError: The file is no npz, lacks an array, has one of objects, or has not what its
            headers say. All arrays that cannot be read are told at once.
    """
    with _archive(path) as archive:
        problems = [told for name in names if (told := _problem(archive, name))]
        if problems:
            raise DataError("; ".join(problems))
        return tuple(_read(archive, name) for name in names)


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Read the header of an array as an npz holds it.

    Returns:
        Its shape, its type, and whether its first axis is the fastest (Fortran order).

    Raises:
        ValueError: It is none, whatever numpy says of it.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"array format {version} is not known")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy reads what Python 2 wrote, and warns
            shape, fortran, dtype = read(stream)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        raise  # the file, not the header
    except Exception as error:  # syntax, tokens, depth, types: numpy parses it as Python
        text = str(error).partition("\n")[0]
        raise ValueError(f"its header cannot be read: {text or type(error).__name__}") from error
    if len(shape) > _MOST_AXES or any(length < 0 for length in shape):
        raise ValueError(f"its header states a shape that no array has, {_short(shape)}")
    return shape, dtype, fortran


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an npz file, and tell what is wrong with it in words."""
    try:
        # Whoever opens a pipe waits for a writer, and a device may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: not a readable npz file (it is no regular file)")
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataError as error:
        known = str(error).startswith(str(path))
        raise DataError(str(error) if known else f"{path}: {error}") from None
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        told = str(error) or type(error).__name__
        raise DataError(f"{path}: not a readable npz file ({told})") from None


@contextlib.contextmanager
def _opened(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[_Header, IO[bytes]]]:
    """Open an array of an archive behind its header, which is checked against the file."""
    member = f"{name}.npy"
    if member not in archive.namelist():
        there = ", ".join(n.removesuffix(".npy") for n in archive.namelist()) or "nothing"
        raise DataError(f"there is no array {name!r} in it; it has {there}")
    info = archive.getinfo(member)
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"not a readable npz file ({name!r} is encrypted)")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = _COMPRESSIONS.get(info.compress_type, f"method {info.compress_type}")
        raise DataError(
            f"not a readable npz file ({name!r} is compressed by {how}; numpy.savez_compressed "
            "writes deflate)"
        )
    try:
        with archive.open(info) as stream:
            header = _Header(*npy_header(stream))
            _check(header, info, stream.tell(), name)
            yield header, stream
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError) as error:
        raise DataError(f"not a readable npz file ({name!r}: {error})") from None


def _check(header: _Header, info: zipfile.ZipInfo, begin: int, name: str) -> None:
    """Check what a header asks for against what the file can hold and the machine has left.

    Raises:
        DataError: It is too much, or not what is there.
    """
    if header.dtype.hasobject:
        raise DataError(
            f"not a readable npz file ({name!r} holds Python objects; save it as numbers or texts)"
        )
    if header.dtype.itemsize == 0:
        raise DataError(f"not a readable npz file ({name!r} is of {header.dtype!r}, of no bytes)")
    what = f"{name!r} is {_short(header.shape)} of {header.dtype}, {_gib(header.nbytes)}"
    stated = info.file_size - begin
    if header.nbytes != stated or info.file_size > _EXPANSION * (info.compress_size + 1024):
        raise DataError(f"not a readable npz file ({what}, but the file has {_gib(stated)} for it)")
    if header.nbytes > _LARGE:
        left = _memory_left()
        if left is not None and header.nbytes > left:
            raise DataError(
                f"{what}, and this machine has {_gib(left)} of memory left. Save the array as a "
                ".npy file, and hand out numpy.load(path, mmap_mode='r'), which stays in the file"
            )


def _problem(archive: zipfile.ZipFile, name: str) -> str:
    """Return what is wrong with an array by its header, or nothing."""
    try:
        with _opened(archive, name):
            return ""
    except DataError as error:
        return str(error)


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with _opened(archive, name) as (header, stream):
        flat = np.empty(math.prod(header.shape), header.dtype)
        room, done = flat.view(np.uint8).data, 0
        while done < len(room) and (count := stream.readinto(room[done:])):  # type: ignore[attr-defined]
            done += count
        if done < len(room):
            raise DataError(f"{name!r} ends after {done} of {len(room)} bytes")
        stream.read(1)  # at the end the checksum is compared
        return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _memory_left() -> int | None:
    import torch  # only where so much is asked for that it matters

    from medpipe_core.memory import free_memory

    return free_memory(torch.device("cpu"))


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _gib(count: int) -> str:
    if count > 2**60:
        return "more than 2**60 bytes"
    return f"{count / 2**30:.2f} GiB" if count >= 2**27 else f"{count} bytes"
