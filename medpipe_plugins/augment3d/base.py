"""The base of the 3D operations, and what their draws are made of."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medpipe_core import Augmentation, MedpipeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    Draw = Tensor | tuple[Tensor, ...]


ALIKE = 1e-3
"""By which share two lengths in files may differ and be meant as one."""


class VolumeShapeError(MedpipeError):
    """Volumes that are not floating-point `(batch, channel, depth, height, width)`."""


class MagnitudeError(MedpipeError):
    """A magnitude, or a fixed parameter, that an operation has no meaning for."""


class Augmentation3D(Augmentation):
    """An operation on `(batch, channel, depth, height, width)`, intensities in [0, 1].

    Directions are those of the last three axes: V acts along height, H along width and D along
    depth.
    """

    def draw_for(
        self, volumes: Tensor, generator: torch.Generator, *_: Any, **magnitudes: Any
    ) -> Draw:
        """Draw for these volumes.

        Raises:
            VolumeShapeError: They do not have five axes, or are not floating-point.
        """
        self.check(volumes)
        return super().draw_for(volumes, generator, **magnitudes)

    def check(self, volumes: Tensor) -> None:
        """Refuse what is not a batch of volumes; an operation with its own `draw_for` calls it.

        Raises:
            VolumeShapeError: They do not have five axes, or are not floating-point.
        """
        if volumes.ndim != 5:
            raise VolumeShapeError(
                f"{type(self).__name__} needs (batch, channel, depth, height, width), but got "
                f"{tuple(volumes.shape)}"
            )
        if not volumes.is_floating_point():
            raise VolumeShapeError(
                f"{type(self).__name__} needs floating-point intensities in [0, 1], but got "
                f"{volumes.dtype}; convert the volumes first, such as uint8 ones by / 255"
            )


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw `count` numbers uniformly between two bounds, whichever is the smaller."""
    low, high = min(low, high), max(low, high)
    return low + (high - low) * unit(count, generator=generator)


def between(numbers: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Stretch uniform numbers to two bounds, whichever is the smaller."""
    low, high = min(low, high), max(low, high)
    return low + (high - low) * numbers


def unit(*shape: int, generator: torch.Generator) -> Tensor:
    """Draw numbers uniformly in [0, 1), the same whatever torch's default type is."""
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)


def numbers(*shape: int, generator: torch.Generator) -> NDArray[np.float32]:
    """Draw as `unit` does, the same numbers, into an array on the CPU.

    A draw is a few numbers, for which numpy takes a fraction of the time of torch's operators. With
    a generator on a GPU it waits for them.
    """
    drawn: NDArray[np.float32] = unit(*shape, generator=generator).cpu().numpy()
    return drawn


def as_array(numbers: Any) -> NDArray[Any]:
    """Return numbers of a draw as an array on the CPU, if they are not one already."""
    if isinstance(numbers, Tensor):
        array: NDArray[Any] = numbers.detach().cpu().numpy()
        return array
    return np.asarray(numbers)


def as_tensor(numbers: Any) -> Tensor:
    """Return numbers of a draw as a tensor, if they are not one already."""
    return numbers if isinstance(numbers, Tensor) else torch.tensor(numbers)


def exact(dtype: torch.dtype) -> torch.dtype:
    """Return the type to compute in: half precision cannot tell voxels of a wide axis apart."""
    return torch.promote_types(dtype, torch.float32)


def uncast(volumes: Tensor) -> AbstractContextManager[object]:
    """Return a context in which `torch.autocast` does not lower coordinates or intensities."""
    kind = volumes.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def per_volume(values: Tensor) -> Tensor:
    """Reshape `(count,)` to `(count, 1, 1, 1, 1)`, so that it broadcasts over volumes."""
    return values.view(-1, 1, 1, 1, 1)


def require(holds: bool, operation: Augmentation, needs: str, **found: Any) -> None:
    """Refuse values that an operation cannot use.

    Raises:
        MagnitudeError: `holds` is false; it says what the operation needs and what it found.
    """
    if not holds:
        values = ", ".join(f"{name}={value!r}" for name, value in found.items())
        raise MagnitudeError(f"{type(operation).__name__} needs {needs}, but got {values}")


def sizes(volumes: Tensor) -> Sequence[int]:
    """Return depth, height and width."""
    return volumes.shape[-3:]
