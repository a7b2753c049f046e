"""Reading arrays from an npz file that anybody may have made.

A member's header is checked against what is expected before memory is taken for it, so a small
file cannot ask for a large array; nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError, npy_header

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_member(path: Path, member: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read one uint8 array of a known shape.

    Args:
        path: The npz file.
        member: Name of the array in it.
        shape: What its shape must be.

    Raises:
        DataError: The file is no npz, lacks the array, or holds something else under its name.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as stream:
            found_shape, dtype, fortran = npy_header(stream)
            if (found_shape, dtype) != (shape, np.dtype(np.uint8)):
                raise DataError(
                    f"{path}: {member!r} is {found_shape} of {dtype}, expected {shape} of uint8; "
                    "this is not the published file"
                )
            if fortran:
                raise ValueError("array is in Fortran order")
            # The header fits, so the array is as large as expected and no larger.
            array = np.empty(shape, np.uint8)
            found_bytes = _fill(array, stream)
    except KeyError:
        raise DataError(f"{path}: there is no array {member!r} in it") from None
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: not a readable npz file ({error})") from None
    if found_bytes != array.nbytes:
        raise DataError(f"{path}: {member!r} ends after {found_bytes} of {array.nbytes} bytes")
    return array


def _fill(array: NDArray[np.uint8], stream: Any) -> int:
    """Read into an array until it is full or the stream ends; return the bytes read."""
    view, done = array.reshape(-1).data, 0
    while done < len(view) and (read := stream.readinto(view[done:])):
        done += read
    return done
