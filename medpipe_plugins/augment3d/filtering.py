"""Operations that change intensities, composed: one visit to each volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F

from medpipe_core import Fusion
from medpipe_plugins.augment3d.base import Augmentation3D, exact, per_volume, uncast
from medpipe_plugins.augment3d.compiled import can_compile, filter_compiled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from torch import Tensor


@dataclass(frozen=True)
class Change(ABC):
    """One elementary change of some volumes, each by numbers of its own."""

    kind: ClassVar[str]
    """Its name in the compiled loops."""

    @abstractmethod
    def __call__(self, volumes: Tensor) -> Tensor:
        """Return the changed volumes, `(count, channel, depth, height, width)`."""

    @abstractmethod
    def numbers(self) -> Tensor:
        """Return what the compiled loops are to be told of each volume, `(count, numbers)`."""


@dataclass(frozen=True)
class Linear(Change):
    """v becomes factor · v + offset.

    Attributes:
        factor: One number for each volume, `(count,)`.
        offset: Likewise.
    """

    factor: Tensor
    offset: Tensor
    kind = "linear"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        factor, offset = (per_volume(t.to(volumes.dtype)) for t in (self.factor, self.offset))
        return torch.addcmul(offset, volumes, factor)

    def numbers(self) -> Tensor:
        """Return factor and offset."""
        return torch.stack((self.factor, self.offset), 1)


@dataclass(frozen=True)
class Add(Change):
    """v becomes v + value, voxel by voxel.

    Attributes:
        values: `(count, channel, depth, height, width)`.
    """

    values: Tensor
    kind = "add"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        return volumes + self.values

    def numbers(self) -> Tensor:
        """Return the values of each volume in a row."""
        return self.values.flatten(1)


@dataclass(frozen=True)
class Contrast(Change):
    """v becomes m + factor · (v − m), with m the mean of the volume and all its channels.

    Attributes:
        factor: One number for each volume, `(count,)`.
    """

    factor: Tensor
    kind = "contrast"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        factor = per_volume(self.factor.to(volumes.dtype))
        return torch.addcmul((1 - factor) * per_volume(volumes.flatten(1).mean(1)), volumes, factor)

    def numbers(self) -> Tensor:
        """Return the factor."""
        return self.factor[:, None]


@dataclass(frozen=True)
class Clamp(Change):
    """What lies outside [0, 1] becomes the nearer bound.

    Attributes:
        count: How many volumes there are.
    """

    count: int
    kind = "clamp"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        return volumes.clamp(0, 1)

    def numbers(self) -> Tensor:
        """Return no number."""
        return torch.empty(self.count, 0, dtype=torch.float32)


@dataclass(frozen=True)
class Smooth(Change):
    """A sum of neighbours along depth, height and width in turn; edges are repeated.

    Attributes:
        weights: Of each volume's neighbours along one axis, `(count, kernel)`; the sum reaches
            `kernel // 2` voxels back.
    """

    weights: Tensor
    kind = "smooth"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it, as a sum of shifted volumes."""
        kernel = self.weights.shape[1]
        before, after = kernel // 2, (kernel - 1) // 2
        factors = [per_volume(factor) for factor in self.weights.to(volumes.dtype).unbind(1)]
        rows = F.pad(volumes, (before, after) * 3, mode="replicate")
        for axis in (2, 3, 4):
            size = volumes.shape[axis]
            smoothed = rows.narrow(axis, 0, size) * factors[0]
            for shift in range(1, kernel):
                smoothed.addcmul_(rows.narrow(axis, shift, size), factors[shift])
            rows = smoothed
        return rows

    def numbers(self) -> Tensor:
        """Return the weights."""
        return self.weights


class Filter(Fusion):
    """What neighbouring operations on a batch of volumes do to its intensities.

    With the extra `fast`, float32 volumes on a CPU are visited once each and go through all steps
    while they are in the cache; elsewhere each operation is a pass of its own.

    Args:
        volumes: `(batch, channel, depth, height, width)`.
    """

    linear = False

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self._parts: list[tuple[Tensor, Sequence[Change]]] = []

    def then(self, rows: Tensor, steps: Sequence[Change]) -> None:
        """Change some volumes next.

        Args:
            rows: Which volumes, `(count,)`, rising, on the CPU.
            steps: What is done to them, in order.
        """
        self._parts.append((rows, steps))

    def result(self) -> Tensor:
        """Apply it all."""
        if not self._parts:
            return self.volumes
        if can_compile(self.volumes) and not self.volumes.requires_grad:
            told = [
                (step.kind, rows, step.numbers()) for rows, steps in self._parts for step in steps
            ]
            return filter_compiled(self.volumes, told)
        result = self.volumes
        for rows, steps in self._parts:
            if len(rows) == len(result):
                result = _all(steps, result)
                continue
            where = rows.to(result.device)
            changed = _all(steps, result.index_select(0, where))
            if result is self.volumes or changed.requires_grad or result.requires_grad:
                result = result.index_copy(0, where, changed)
            else:
                result.index_copy_(0, where, changed)
        return result


class Filter3D(Augmentation3D):
    """An operation that changes intensities in elementary steps."""

    fusion: ClassVar[type[Fusion] | None] = Filter

    def steps(self, *draw: Any) -> Sequence[Change]:
        """Return what is done to so many volumes, in order.

        Args:
            draw: What `draw` returned.
        """
        raise NotImplementedError

    def join(self, fusion: Filter, rows: Tensor, *draw: Any) -> None:
        """Add the steps."""
        fusion.then(rows, self.steps(*draw))

    def apply(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Do it alone."""
        return _all(self.steps(*draw), volumes)


def _all(steps: Sequence[Change], volumes: Tensor) -> Tensor:
    """Take all steps in single precision at least, and round once."""
    changed = volumes.to(exact(volumes.dtype))
    with uncast(volumes):
        for step in steps:
            changed = step(changed)
    return changed.to(volumes.dtype)
