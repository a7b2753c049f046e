"""Volumes that stay in their files and are read when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from medpipe_core.data.arrays import as_volumes, in_type
from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_PART_BYTES = 2**26


class Rows(Protocol):
    """What is read row by row: a memory-mapped array, or what answers as one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Count, then the shape of a row."""

    def __len__(self) -> int:
        """Return the count."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read rows by a slice or by positions."""


@runtime_checkable
class VaryingRows(Rows, Protocol):
    """Rows that may be drawn anew; read as they are, they are as they are judged."""

    @property
    def varies(self) -> bool:
        """Whether they are."""

    def fixed(self) -> Rows:
        """Return them as they are judged."""

    def drawn(self, seed: int) -> Rows:
        """Return them as an epoch with this seed sees them."""


class StoredVolumes:
    """Rows of memory-mapped arrays, chosen and joined without being read.

    What is read has one type and scale, as `LabelledVolumes` has it: uint8 if all sources are read
    as that, else float32, in which uint8 is divided by 255.

    What a subset, a half or a union of large sets is made of. It has what medpipe needs of an
    array: `len`, `shape`, `dtype`, `nbytes`, and indexing along the first axis, which reads.
    `numpy.asarray` reads everything.

    Args:
        sources: Arrays of one shape but for the first axis, or what is read as such.
        rows: `(count, 2)`, number of the source and row in it; by default all rows in order.

    Raises:
        DataError: A source has a type or shape that `LabelledVolumes` does not take.
    """

    def __init__(self, sources: Sequence[Rows], rows: NDArray[np.int64] | None = None) -> None:
        self._sources = tuple(sources)
        self._rows = _all_rows(self._sources) if rows is None else rows
        if not self._sources:
            raise DataError("stored volumes need one array at least")
        types = [as_volumes(source[:0]).dtype for source in self._sources]
        self._dtype = types[0] if len(set(types)) == 1 else np.dtype(np.float32)
        shapes = dict.fromkeys(source.shape[1:] for source in self._sources)
        if len(shapes) > 1:
            raise DataError(f"volumes of one set have one shape, but these have {list(shapes)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Count, then the shape of a volume."""
        return (len(self._rows), *self._sources[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels as they are read."""
        return self._dtype

    @property
    def varies(self) -> bool:
        """Whether each epoch of a training draws some of them anew; reading them does not."""
        return any(isinstance(rows, VaryingRows) and rows.varies for rows in self._sources)

    @property
    def nbytes(self) -> int:
        """Bytes that all volumes would take in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read volumes: one by a number, several by a slice, positions or a mask."""
        rows = self._rows[index]
        if rows.ndim == 1:
            source, row = rows
            one: NDArray[Any] = self._read(source, [row])[0]
            return one
        read = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for number in range(len(self._sources)):
            wanted = np.flatnonzero(rows[:, 0] == number)
            if len(wanted):
                read[wanted] = self._read(number, rows[wanted, 1])
        return read

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[position] for position in range(len(self)))

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("stored volumes cannot become an array without being read")
        return self[:] if dtype is None else self[:].astype(dtype)

    def _read(self, source: int, rows: Any) -> NDArray[Any]:
        return in_type(as_volumes(self._sources[source][rows]), self._dtype)

    def choose(self, indices: NDArray[Any]) -> StoredVolumes:
        """Return the volumes at some positions; nothing is read."""
        return StoredVolumes(self._sources, self._rows[indices])

    def followed_by(self, other: StoredVolumes) -> StoredVolumes:
        """Return these volumes and then others; nothing is read."""
        moved = other._rows + np.array([len(self._sources), 0])
        return StoredVolumes((*self._sources, *other._sources), np.concatenate((self._rows, moved)))

    def fixed(self) -> StoredVolumes:
        """Return the volumes as they are judged, whoever trains on them; nothing is read."""
        kept = [rows.fixed() if isinstance(rows, VaryingRows) else rows for rows in self._sources]
        return StoredVolumes(kept, self._rows)

    def drawn(self, seed: int) -> StoredVolumes:
        """Return the volumes as an epoch with this seed sees them; nothing is read."""
        anew = [r.drawn(seed) if isinstance(r, VaryingRows) else r for r in self._sources]
        return StoredVolumes(anew, self._rows)


def parts(volumes: NDArray[Any] | StoredVolumes) -> Iterator[NDArray[Any]]:
    """Iterate over all volumes in arrays of at most 64 MiB, at least one volume each."""
    each = max(volumes.nbytes // max(len(volumes), 1), 1)
    count = max(_PART_BYTES // each, 1)
    return (volumes[start : start + count] for start in range(0, len(volumes), count))


def value_range(volumes: NDArray[Any] | StoredVolumes) -> tuple[float, float]:
    """Return the least and the largest voxel of at least one volume; NaN where there is one."""
    ranges = np.array([(part.min(), part.max()) for part in parts(volumes)])
    return float(ranges[:, 0].min()), float(ranges[:, 1].max())


def _all_rows(sources: Sequence[Rows]) -> NDArray[np.int64]:
    return np.concatenate(
        [
            np.stack((np.full(len(source), number), np.arange(len(source))), axis=1)
            for number, source in enumerate(sources)
        ]
    ).astype(np.int64)
