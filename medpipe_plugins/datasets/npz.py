"""Reading arrays of a published npz file, of which it is known what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import DataError, npz_header, read_npz

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
    found, dtype = npz_header(path, member)
    if (found, dtype) != (shape, np.dtype(np.uint8)):
        raise DataError(
            f"{path}: {member!r} is {found} of {dtype}, expected {shape} of uint8; this is not the "
            "published file"
        )
    (array,) = read_npz(path, member)
    return array
