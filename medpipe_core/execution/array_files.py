"""Volumes in `.npy` and `.npz` files, for a network whose run had arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError, npy_header, read_npz

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_NAMES = ("volumes", "volume", "images", "image")


def read_array(path: Path, shape: Sequence[int]) -> NDArray[Any]:
    """Read volumes from a file: one, `(channel, *space)` or `(*space)`, or several.

    Args:
        path: A `.npy` file, or a `.npz` file with an array `volumes`, `volume`, `images` or
            `image`.
        shape: `(channel, *space)` that is expected; the file's header is held to it first.

    Returns:
        `(count, channel, *space)`.

    Raises:
        DataError: The file cannot be read, or has another shape.
    """
    wanted = tuple(shape)
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if not path.is_file():
        raise DataError(f"{path}: it is no file, but a folder, device, pipe or socket")
    if path.suffix == ".npz":
        return _as_batch(_from_npz(path), wanted, path)
    try:
        with path.open("rb") as file:
            found, dtype, _ = npy_header(file)
            _check(tuple(found), wanted, path)
            stated, there = math.prod(found) * dtype.itemsize, path.stat().st_size - file.tell()
            if stated > there:  # before memory is taken for it
                raise DataError(
                    f"{path}: its header states {stated} bytes of volumes, and the file has {there}"
                )
            file.seek(0)
            array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: it is no usable .npy file: {error}") from error
    return _as_batch(array, wanted, path)


def _from_npz(path: Path) -> NDArray[Any]:
    problems = []
    for name in _NAMES:
        try:
            (array,) = read_npz(path, name)
        except DataError as error:
            problems.append(str(error))
        else:
            return np.asarray(array)
    raise DataError(problems[0])


def _as_batch(array: NDArray[Any], wanted: tuple[int, ...], path: Path) -> NDArray[Any]:
    _check(array.shape, wanted, path)
    return array.reshape(-1, *wanted)


def _check(found: tuple[int, ...], wanted: tuple[int, ...], path: Path) -> None:
    single = (wanted, wanted[1:]) if wanted[0] == 1 else (wanted,)
    several = [found[1:]] if len(found) > len(wanted[1:]) else []
    if found in single or wanted in several or (wanted[0] == 1 and wanted[1:] in several):
        return
    raise DataError(
        f"{path}: the network takes volumes {wanted} (channel, *space), but the file has {found}"
    )
