"""Elementary changes of intensities, of which operations that change these are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from medpipe_plugins.augment3d.base import as_tensor, per_volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Into = NDArray[np.float32]
    Numbers = Tensor | NDArray[Any] | float


@dataclass(frozen=True)
class Change(ABC):
    """One elementary change of some volumes, each by numbers of its own.

    The numbers are tensors, which may lie on the CPU whatever device the volumes are on, or arrays.
    """

    kind: ClassVar[str]
    """Its name in the loops and kernels that are not torch's."""

    @abstractmethod
    def __call__(self, volumes: Tensor) -> Tensor:
        """Return the changed volumes, `(count, channel, depth, height, width)`."""

    @abstractmethod
    def size(self, voxels: int) -> int:
        """Return how many numbers a volume of so many voxels, all channels counted, is told."""

    @abstractmethod
    def write(self, into: Into) -> None:
        """Write what each volume is told into a row of an array, `(count, size)`."""

    @property
    def learned(self) -> bool:
        """Whether one of its numbers needs a gradient."""
        return any(isinstance(one, Tensor) and one.requires_grad for one in vars(self).values())


@dataclass(frozen=True)
class Linear(Change):
    """v becomes factor · v + offset.

    Attributes:
        factor: One number for each volume, `(count,)`, or one for all.
        offset: Likewise.
    """

    factor: Numbers
    offset: Numbers
    kind = "linear"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        factor, offset = (_beside(volumes, one) for one in (self.factor, self.offset))
        return torch.addcmul(offset, volumes, factor)

    def size(self, voxels: int) -> int:
        """Return 2."""
        return 2

    def write(self, into: Into) -> None:
        """Write factor and offset."""
        into[:, 0] = _told(self.factor)
        into[:, 1] = _told(self.offset)


@dataclass(frozen=True)
class Add(Change):
    """v becomes v + value, voxel by voxel.

    Attributes:
        values: `(count, channel, depth, height, width)`.
    """

    values: Tensor | NDArray[Any]
    kind = "add"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        return volumes + as_tensor(self.values).to(volumes.device, non_blocking=True)

    def size(self, voxels: int) -> int:
        """Return the number of voxels."""
        return voxels

    def write(self, into: Into) -> None:
        """Write the values of each volume."""
        into[:] = _told(self.values.reshape(into.shape))


@dataclass(frozen=True)
class Gaussian(Change):
    """v becomes v + std · n, with n drawn from the standard normal distribution for each voxel.

    What a volume gets follows from its seed alone, on one kind of device: a CPU and a GPU make
    random numbers in different ways, and to send them would take longer than all other changes.

    Attributes:
        std: Standard deviation, one number for all or `(count,)`.
        seeds: One for each volume, int64 in [0, 2⁶²), `(count,)`; read on the CPU.
    """

    std: Numbers
    seeds: Tensor | NDArray[np.int64]
    kind = "noise"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        noise = torch.empty(volumes.shape, dtype=torch.float32, device=volumes.device)
        self._draw(noise)
        return volumes + noise

    def size(self, voxels: int) -> int:
        """Return the number of voxels."""
        return voxels

    def write(self, into: Into) -> None:
        """Write the noise itself."""
        self._draw(torch.from_numpy(into))

    def _draw(self, noise: Tensor) -> None:
        source = torch.Generator(noise.device)
        seeds = self.seeds.tolist()
        std = [self.std] * len(seeds) if isinstance(self.std, float | int) else self.std.tolist()
        for row, deviation, seed in zip(noise.unbind(), std, seeds, strict=True):
            row.normal_(0.0, deviation, generator=source.manual_seed(seed))


@dataclass(frozen=True)
class Contrast(Change):
    """v becomes m + factor · (v − m), with m the mean of the volume and all its channels.

    Attributes:
        factor: One number for each volume, `(count,)`.
    """

    factor: Numbers
    kind = "contrast"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it."""
        factor = _beside(volumes, self.factor)
        return torch.addcmul((1 - factor) * per_volume(volumes.flatten(1).mean(1)), volumes, factor)

    def size(self, voxels: int) -> int:
        """Return 1."""
        return 1

    def write(self, into: Into) -> None:
        """Write the factor."""
        into[:, 0] = _told(self.factor)


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

    def size(self, voxels: int) -> int:
        """Return 0."""
        return 0

    def write(self, into: Into) -> None:
        """Write nothing."""


@dataclass(frozen=True)
class Smooth(Change):
    """A sum of neighbours along depth, height and width in turn; edges are repeated.

    Attributes:
        weights: Of each volume's neighbours along one axis, `(count, kernel)`; the sum reaches
            `kernel // 2` voxels back.
    """

    weights: Tensor | NDArray[Any]
    kind = "smooth"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it, as a sum of shifted volumes."""
        weights = as_tensor(self.weights).to(volumes.device, volumes.dtype, non_blocking=True)
        return _smoothed(volumes, [weights] * 3)

    def size(self, voxels: int) -> int:
        """Return the length of the kernel."""
        return self.weights.shape[1]

    def write(self, into: Into) -> None:
        """Write the weights."""
        into[:] = _told(self.weights)


@dataclass(frozen=True)
class SmoothAxes(Change):
    """A sum of neighbours along depth, height and width in turn, by weights of each; edges repeat.

    Attributes:
        weights: Of each volume's neighbours along each axis, `(count, 3, kernel)`; sums reach
            `kernel // 2` voxels back.
    """

    weights: Tensor | NDArray[Any]
    kind = "smooth-axes"

    def __call__(self, volumes: Tensor) -> Tensor:
        """Do it, as sums of shifted volumes."""
        weights = as_tensor(self.weights).to(volumes.device, volumes.dtype, non_blocking=True)
        return _smoothed(volumes, weights.unbind(1))

    def size(self, voxels: int) -> int:
        """Return three times the length of the kernel."""
        return 3 * self.weights.shape[2]

    def write(self, into: Into) -> None:
        """Write the weights, axis after axis."""
        into[:] = _told(self.weights.reshape(into.shape))


def _smoothed(volumes: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Sum neighbours along each axis by its weights, `(count, kernel)`."""
    kernel = weights[0].shape[1]
    before, after = kernel // 2, (kernel - 1) // 2
    rows = F.pad(volumes, (before, after) * 3, mode="replicate")
    for axis, of_axis in zip((2, 3, 4), weights, strict=True):
        factors = [per_volume(factor) for factor in of_axis.unbind(1)]
        size = volumes.shape[axis]
        smoothed = rows.narrow(axis, 0, size) * factors[0]
        for shift in range(1, kernel):
            smoothed.addcmul_(rows.narrow(axis, shift, size), factors[shift])
        rows = smoothed
    return rows


def _beside(volumes: Tensor, number: Numbers) -> Tensor:
    """Return numbers of the volumes' type on their device, so that they broadcast over these."""
    if isinstance(number, float | int):
        return volumes.new_full((1, 1, 1, 1, 1), number)
    return per_volume(as_tensor(number).to(volumes.device, volumes.dtype, non_blocking=True))


def _told(number: Numbers) -> NDArray[Any] | float:
    if not isinstance(number, Tensor):
        return number
    told: NDArray[np.float32] = number.detach().to("cpu", torch.float32).numpy()
    return told
