"""Random erasing of a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import Augmentation3D, per_volume, sizes, uniform

if TYPE_CHECKING:
    from torch import Tensor


class Erase(Augmentation3D):
    """Sets a box somewhere inside each volume to 0.

    The box takes a share `scale` of the volume, uniform between its bounds, and its height is
    `ratio` times its width (both as shares of their axes), uniform between its bounds. Depth takes
    the cube root of the share. An edge is at least one voxel and at most the whole axis. Bounds in
    the wrong order are swapped.

    Attributes:
        scale_left: One bound of the share of the volume.
        scale_right: The other.
        ratio_left: One bound of height over width.
        ratio_right: The other.
    """

    scale_left = magnitudes.ERASE_SCALE_LEFT
    scale_right = magnitudes.ERASE_SCALE_RIGHT
    ratio_left = magnitudes.ERASE_RATIO_LEFT
    ratio_right = magnitudes.ERASE_RATIO_RIGHT

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        *,
        scale_left: float,
        scale_right: float,
        ratio_left: float,
        ratio_right: float,
    ) -> tuple[Tensor, Tensor]:
        """Draw each box: its edges and its place, as shares of the axes, both `(count, 3)`."""
        edge = uniform(count, scale_left, scale_right, generator) ** (1 / 3)
        stretch = uniform(count, ratio_left, ratio_right, generator).sqrt()
        edges = torch.stack((edge, edge * stretch, edge / stretch), 1)
        place = torch.rand(count, 3, generator=generator, device=generator.device)
        return edges, place

    def apply(self, volumes: Tensor, edges: Tensor, place: Tensor) -> Tensor:
        """Set the boxes to 0."""
        inside = torch.ones(len(volumes), 1, 1, 1, 1, dtype=torch.bool, device=volumes.device)
        for axis, size in enumerate(sizes(volumes)):
            length = (edges[:, axis] * size).round().clamp(1, size)
            start = ((size - length + 1) * place[:, axis]).floor().clamp(max=size - 1)
            index = torch.arange(size, device=volumes.device).view(
                [-1 if a == axis + 2 else 1 for a in range(5)]
            )
            inside = inside & (index >= per_volume(start)) & (index < per_volume(start + length))
        return volumes.masked_fill(inside, 0)
