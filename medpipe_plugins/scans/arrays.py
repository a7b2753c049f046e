"""Arrays as numpy writes them: .npy, and .npz with one volume or several.

Nothing is unpickled. Nothing is known of their geometry: values keep the order of the array.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError, npy_header
from medpipe_plugins.scans.door import (
    DEFLATE_RATIO,
    check_size,
    head,
    read_exactly,
    rest,
    skip,
    told,
)
from medpipe_plugins.scans.rescaling import rounds
from medpipe_plugins.scans.scan import Scan, ScanHeader, value_notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

_MOST_MEMBERS = 10_000
_MOST_REST = 256 << 20


@dataclass(frozen=True)
class _Array:
    """An array in a file, as its header has it."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    most: int

    def __str__(self) -> str:
        return f"{self.name or 'the array'}: {self.shape} of {self.dtype}"


def header(path: Path, *, series: str | int | None, volume: int | None) -> ScanHeader:
    """Return what the header of the array says; no value is read."""
    return _plan(path, series, volume)[0]


def read(path: Path, *, series: str | int | None, volume: int | None) -> Scan:
    """Read a scan."""
    known, array = _plan(path, series, volume)
    values = np.empty(known.shape, np.float32)
    rounded = False
    with _opened(path, array.name) as stream:
        npy_header(stream)
        for slot, slab in zip(values, _slabs(stream, array, volume or 0), strict=True):
            with np.errstate(all="ignore"):
                slot[...] = slab
            rounded = rounded or rounds(slab, slot)
        left = rest(stream, _MOST_REST)
    notes = [*known.notes]
    if left:
        notes.append(f"{left} bytes follow the array and were not used")
    if rounded:
        notes.append("whole numbers too large for float32 were rounded")
    return Scan(values, known, (*notes, *value_notes(values)))


def _slabs(stream: IO[bytes], array: _Array, volume: int) -> Iterator[NDArray[Any]]:
    """Read the slices of a volume one by one, or at once where the first axis is the fastest."""
    shape = (1,) * (4 - len(array.shape)) + array.shape
    if array.fortran:
        whole = read_exactly(stream, math.prod(shape) * array.dtype.itemsize, array.path)
        yield from np.frombuffer(whole, array.dtype).reshape(shape, order="F")[volume]
        return
    size = math.prod(shape[2:]) * array.dtype.itemsize
    skip(stream, volume * shape[1] * size, array.path)
    for _ in range(shape[1]):
        slab = np.frombuffer(read_exactly(stream, size, array.path), array.dtype)
        yield slab.reshape(shape[2:])
    skip(stream, (shape[0] - volume - 1) * shape[1] * size, array.path)


def _plan(path: Path, series: str | int | None, volume: int | None) -> tuple[ScanHeader, _Array]:
    arrays = _arrays(path)
    found, notes = _chosen(path, arrays, series)
    array = replace(found, shape=_without_ones(found.shape))
    if array.shape != found.shape:
        notes.append(f"axes of length 1 were left out of {found.shape}")
    if array.dtype.kind not in "biuf":
        what = (
            "Python objects, which are never unpickled" if array.dtype.hasobject else "no numbers"
        )
        what = f"{what} ({array.dtype})"
        raise DataError(f"{path}: {array.name or 'the array'} holds {what}; save it as numbers")
    if len(array.shape) not in (2, 3, 4):
        raise DataError(
            f"{path}: {array} has {len(array.shape)} axes; a scan has three: slice, row, column"
        )
    check_size(path, array.shape)
    if math.prod(array.shape) * array.dtype.itemsize > array.most:
        raise DataError(f"{path}: truncated, or its header is wrong: {array} does not fit into it")
    shape = array.shape if len(array.shape) == 3 else (1, *array.shape)[-3:]
    volumes = array.shape[0] if len(array.shape) == 4 else 1
    if volume is not None and not 0 <= volume < volumes:
        raise DataError(f"{path}: has {volumes} volumes, from 0 on; there is no volume {volume}")
    if volumes > 1:
        if volume is None:
            raise DataError(
                f"{path}: {array} has four axes; if the first counts volumes, name one with "
                f"volume=0 to volume={volumes - 1}"
            )
        notes.append(f"volume {volume} of {volumes}")
    if len(array.shape) == 2:
        notes.append("two-dimensional: read as a single slice")
    kind = "npz" if array.name else "npy"
    dtype = str(array.dtype.newbyteorder("="))
    return ScanHeader(str(path), kind, shape, dtype, series=array.name, notes=tuple(notes)), array


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a batch or channel of one, which stand first or last."""
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _chosen(path: Path, arrays: list[_Array], series: str | int | None) -> tuple[_Array, list[str]]:
    if series not in (None, "", "largest"):
        named = [array for array in arrays if array.name and array.name == str(series)]
        if not named:
            raise DataError(f"{path}: there is no array {series!r}; it has {_listed(arrays)}")
        return named[0], []
    if len(arrays) == 1:
        return arrays[0], []
    volumes = [a for a in arrays if len(a.shape) in (3, 4) and a.dtype.kind in "biuf"]
    if series == "largest" and volumes:
        most = max(math.prod(array.shape) for array in volumes)
        volumes = [array for array in volumes if math.prod(array.shape) == most]
    if len(volumes) != 1:
        raise DataError(
            f"{path}: holds {len(volumes)} arrays that may be meant; name one with series=NAME: "
            f"{_listed(arrays)}"
        )
    others = ", ".join(a.name for a in arrays if a is not volumes[0])
    return volumes[0], [f"array {volumes[0].name!r} was taken; there are also {others}"]


def _listed(arrays: list[_Array]) -> str:
    return "; ".join(str(array) for array in arrays[:20]) or "none"


def _arrays(path: Path) -> list[_Array]:
    """Return what arrays there are; only their headers are read."""
    if not head(path, 2).startswith(b"PK") and not path.name.lower().endswith(".npz"):
        with path.open("rb") as stream:
            shape, dtype, fortran = npy_header(stream)
            return [_Array(path, "", shape, dtype, fortran, path.stat().st_size - stream.tell())]
    found = []
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
        if len({m.filename for m in members}) < len(members) or len(members) > _MOST_MEMBERS:
            raise DataError(f"{path}: names of its arrays are there twice, or are too many")
        for member in members:
            with archive.open(member) as stream:
                shape, dtype, fortran = npy_header(stream)
            most = min(member.file_size, member.compress_size * DEFLATE_RATIO)
            name = member.filename.removesuffix(".npy")
            found.append(_Array(path, name, shape, dtype, fortran, most))
    if not found:
        raise DataError(f"{path}: there is no array in it")
    return found


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    if not name:
        with path.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream, told(path, "npz"):
        yield stream
