"""Volumes that are drawn anew in each epoch, and volumes that are changed as they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from medpipe_core.data.stored import Rows, StoredVolumes


class VaryingVolumes:
    """Volumes that each epoch of a training draws anew, a source of `StoredVolumes`.

    Read as they are, they have the form in which volumes are judged, which is the same every time.

    Args:
        judged: The volumes in that form.
        draw: Row and seed to a volume as one epoch sees it, of the same shape and type. It is
            called in threads, and the same row and seed give the same volume.
    """

    varies = True

    def __init__(self, judged: Rows, draw: Callable[[int, int], NDArray[Any]]) -> None:
        self._judged, self._draw = judged, draw
        self.shape, self.dtype = judged.shape, judged.dtype

    def __len__(self) -> int:
        return len(self._judged)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        return self._judged[rows]

    def fixed(self) -> Rows:
        """Return the volumes as they are judged, never drawn."""
        return self._judged

    def drawn(self, seed: int) -> Rows:
        """Return the volumes as an epoch with this seed sees them."""
        return _Drawn(self._draw, seed, self.shape, self.dtype)


class _Drawn:
    """The volumes of one epoch, drawn when they are read."""

    def __init__(
        self,
        draw: Callable[[int, int], NDArray[Any]],
        seed: int,
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self._draw, self._seed = draw, seed
        self.shape, self.dtype = shape, dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = np.arange(len(self))[rows]
        read = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, row in zip(read, wanted, strict=True):
            drawn = self._draw(int(row), self._seed)
            if (drawn.shape, drawn.dtype) != (place.shape, place.dtype):
                raise DataError(
                    f"volume {row} is drawn as {drawn.shape} of {drawn.dtype}, but judged as "
                    f"{place.shape} of {place.dtype}"
                )
            place[...] = drawn
        return read


class ChangedVolumes:
    """Stored volumes that are changed as they are read, a source of `StoredVolumes`.

    Args:
        volumes: The volumes.
        change: Some of them to as many of another shape and the same type.
        shape: `(channel, *space)` of a changed volume.
    """

    def __init__(
        self,
        volumes: StoredVolumes,
        change: Callable[[NDArray[Any]], NDArray[Any]],
        shape: tuple[int, ...],
    ) -> None:
        self._volumes, self._change = volumes, change
        self.shape, self.dtype = (len(volumes), *shape), volumes.dtype
        self.varies = volumes.varies

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = np.arange(len(self))[rows]
        read = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, row in zip(read, wanted, strict=True):
            place[...] = self._change(self._volumes[row][None])[0]
        return read

    def fixed(self) -> ChangedVolumes:
        """Return them as they are judged."""
        return ChangedVolumes(self._volumes.fixed(), self._change, self.shape[1:])

    def drawn(self, seed: int) -> ChangedVolumes:
        """Return them as an epoch with this seed sees them."""
        return ChangedVolumes(self._volumes.drawn(seed), self._change, self.shape[1:])
