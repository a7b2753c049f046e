"""Steps that change intensities, cut into stages that are one launch each; see `gpu_filter`.

A stage ends where a step looks beyond a voxel: before one that smooths, and before one that needs
the mean, of which the stage before leaves sums of parts. What all stages need to know of each
volume is packed into one table, so that there is one upload.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.augment3d.base import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

KINDS = ("none", "linear", "clamp", "contrast", "noise", "add")
"""Steps of a stage by number; "smooth" and "smooth-axes" begin one."""

DIRECT = 4
"""The longest kernel that is one sum over a cube; a longer one takes a launch for each axis."""

_HEAD = 4  # words before a volume's steps: changed, summed, smoothed, and one that is free
_SLOT = 4  # words of a step


@dataclass
class Stage:
    """What one launch does to a batch.

    Attributes:
        smooth: How many neighbours are summed along all axes; 0 for none, -1 for one axis.
        axis: Which, as the volumes' axes are numbered: 2, 3 or 4.
        weighed: Which volumes are smoothed.
        weights: By which weights, `(count, kernel)`.
        steps: Of each further step its kind, its volumes, and its words for each of these.
        values: What the step "add" adds.
        needs_mean: Whether the stage before leaves sums.
        summed: Of which volumes this one leaves sums.
    """

    smooth: int = 0
    axis: int = 0
    weighed: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    weights: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    steps: list[tuple[int, Any, NDArray[np.int32]]] = field(default_factory=list)
    values: Tensor | None = None
    needs_mean: bool = False
    summed: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def pitch(self) -> int:
        """How many words there are of each volume."""
        return _HEAD + _SLOT * len(self.steps) + int(self.weights.shape[1])

    def words(self, batch: int) -> NDArray[np.int32]:
        """Return what the kernel is to know of each volume, `(batch, words)`."""
        table = np.zeros((batch, self.pitch), np.int32)
        table[_where(self.summed, batch), 1] = 1
        for n, (kind, rows, words) in enumerate(self.steps):
            at, where = _HEAD + _SLOT * n, _where(rows, batch)
            table[where, 0] = 1
            table[where, at] = kind
            table[where, at + 1 : at + 1 + words.shape[1]] = words
        if self.smooth:
            where = _where(self.weighed, batch)
            table[where, 0] = table[where, 2] = 1
            table[where, self.pitch - self.weights.shape[1] :] = self.weights.view(np.int32)
        return table


def planned(steps: Sequence[tuple[str, Any, Any]]) -> list[Stage]:
    """Return the stages that take volumes through some steps.

    Args:
        steps: As `on_gpu.filter_on_gpu` takes them.
    """
    stages: list[Stage] = []
    for kind, where, numbers in steps:
        rows = as_array(where)
        if kind == "smooth":
            stages += _smoothing(rows, _floats(numbers))
            continue
        if kind == "smooth-axes":
            along = _floats(numbers).reshape(len(rows), 3, -1)
            stages += [_along(rows, along[:, n], axis) for n, axis in enumerate((2, 3, 4))]
            continue
        if not stages:
            stages.append(Stage())
        if kind == "contrast":
            stages[-1].summed = rows
            stages.append(Stage(needs_mean=True))
        elif kind == "add":
            if stages[-1].values is not None:
                stages.append(Stage())
            stages[-1].values = numbers
        stages[-1].steps.append((KINDS.index(kind), rows, _words(kind, len(rows), numbers)))
    return stages or [Stage()]


def _smoothing(rows: Any, weights: NDArray[np.float32]) -> list[Stage]:
    kernel = weights.shape[1]
    if kernel <= DIRECT:
        return [Stage(smooth=kernel, weighed=rows, weights=weights)]
    return [_along(rows, weights, axis) for axis in (2, 3, 4)]


def _along(rows: Any, weights: NDArray[np.float32], axis: int) -> Stage:
    return Stage(smooth=-1, axis=axis, weighed=rows, weights=np.ascontiguousarray(weights))


def _words(kind: str, count: int, numbers: Any) -> NDArray[np.int32]:
    """Return the words that the kernel reads of one step, `(count, three at most)`."""
    if kind == "add":
        return np.arange(count, dtype=np.int32)[:, None]
    if kind == "clamp":
        return np.empty((count, 0), np.int32)
    if kind != "noise":
        return _floats(numbers).view(np.int32)
    std, seeds = numbers
    words = np.empty((count, 3), np.int32)
    words.view(np.float32)[:, 0] = std
    words[:, 1:] = np.ascontiguousarray(seeds, np.int64).view(np.int32).reshape(count, 2)
    return words


def _where(rows: NDArray[np.int64], batch: int) -> slice | NDArray[np.int64]:
    """Return rows as an index, which is a quick one where it is all of them."""
    return slice(None) if len(rows) == batch else rows


def _floats(numbers: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(numbers, np.float32)
