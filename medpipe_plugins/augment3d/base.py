"""The base of the 3D operations, and what their draws are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from medpipe_core import Augmentation, MedpipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Draw = Tensor | tuple[Tensor, ...]


class VolumeShapeError(MedpipeError):
    """Volumes that are not `(batch, channel, depth, height, width)`."""


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
            VolumeShapeError: They do not have five axes.
        """
        if volumes.ndim != 5:
            raise VolumeShapeError(
                f"{type(self).__name__} needs (batch, channel, depth, height, width), but got "
                f"{tuple(volumes.shape)}"
            )
        return super().draw_for(volumes, generator, **magnitudes)


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw `count` numbers uniformly between two bounds, whichever is the smaller."""
    low, high = min(low, high), max(low, high)
    unit = torch.rand(count, generator=generator, device=generator.device)
    return low + (high - low) * unit


def per_volume(values: Tensor) -> Tensor:
    """Reshape `(count,)` to `(count, 1, 1, 1, 1)`, so that it broadcasts over volumes."""
    return values.view(-1, 1, 1, 1, 1)


def sizes(volumes: Tensor) -> Sequence[int]:
    """Return depth, height and width."""
    return volumes.shape[-3:]
