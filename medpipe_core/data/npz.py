"""Arrays in an npz file that somebody put into the data folder; nothing is unpickled."""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from numpy.typing import NDArray

DATA_FOLDER_VARIABLE = "MEDPIPE_DATA"
"""The environment variable that names the data folder."""


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
        DataError: The file is no npz, or has no array of that name.
    """
    with _opened(path, name) as stream:
        return npy_header(stream)[0]


def read_npz(path: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """Read arrays of an npz file, in the order of `names`.

    Raises:
        DataError: The file is no npz, lacks an array, or has one of objects.
    """
    return tuple(_read(path, name) for name in names)


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Read the header of an array as an npz holds it.

    Returns:
        Its shape, its type, and whether its first axis is the fastest (Fortran order).

    Raises:
        ValueError: It is none.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array format {version} is not known")
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(stream)
    return shape, dtype, fortran


def _read(path: Path, name: str) -> NDArray[Any]:
    with _opened(path, name) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open an array of an npz file, and tell what is wrong with either in words."""
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{name}.npy" not in archive.namelist():
                there = ", ".join(n.removesuffix(".npy") for n in archive.namelist()) or "nothing"
                raise DataError(f"{path}: there is no array {name!r} in it; it has {there}")
            with archive.open(f"{name}.npy") as stream:
                yield stream
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        if "pickle" in str(error) or "Object arrays" in str(error):
            error = ValueError(f"{name!r} holds Python objects; save it as numbers or texts")
        raise DataError(f"{path}: not a readable npz file ({error})") from None
