"""Random erasing of a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import numbers, require, sizes, unit
from medpipe_plugins.augment3d.warp import Composable3D

if TYPE_CHECKING:
    from torch import Tensor

    from medpipe_plugins.augment3d.warp import Warp


class Erase(Composable3D):
    """Sets a box somewhere inside each volume to 0.

    The box takes a share `scale` of the volume, uniform between its bounds, and its height is
    `ratio` times its width (both as shares of their axes), uniform between its bounds. Depth takes
    the cube root of the share. A ratio that would push an edge past its whole axis is brought back
    to the nearest that does not, so the share is kept; a share above 1 is the whole volume. Edges
    are rounded to whole voxels, at least one. All channels lose the same box. Bounds in the wrong
    order are swapped.

    Attributes:
        scale_left: One bound of the share of the volume.
        scale_right: The other.
        ratio_left: One bound of height over width.
        ratio_right: The other.
    """

    changes = frozenset({"content"})

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
        """Draw each box: its edges and its place, as shares of the axes, both `(count, 3)`.

        Raises:
            MagnitudeError: A share or a ratio is not above 0.
        """
        scales, ratios = (scale_left, scale_right), (ratio_left, ratio_right)
        require(min(scales) > 0, self, "shares of the volume above 0", scale=scales)
        require(min(ratios) > 0, self, "ratios above 0", ratio=ratios)
        share = numbers(count, low=scale_left, high=scale_right, generator=generator)
        edge = torch.from_numpy(np.minimum(share, 1)).pow_(1 / 3).numpy()
        ratio = numbers(count, low=ratio_left, high=ratio_right, generator=generator)
        stretch = np.minimum(np.maximum(np.sqrt(ratio), edge), 1 / edge)
        edges = np.empty((count, 3), np.float32)
        edges[:, 0], edges[:, 1], edges[:, 2] = edge, edge * stretch, edge / stretch
        return torch.from_numpy(edges), unit(count, 3, generator=generator)

    def join(self, fusion: Warp, rows: Tensor, edges: Tensor, place: Tensor) -> None:
        """Set the boxes to 0."""
        size = sizes(fusion.volumes)
        if fusion.seen:
            fusion.erase(rows, *_box(edges.new_tensor(size), edges, place, torch))
        else:
            edge, at = edges.cpu().numpy(), place.cpu().numpy()
            fusion.erase(rows, *_box(np.array(size, np.float32), edge, at, np))


def _box(size: Any, edges: Any, place: Any, with_: Any) -> tuple[Any, Any]:
    """Return each box's first voxel and the one after its last, (x, y, z), by numpy or by torch."""
    length = with_.minimum(with_.round(edges * size).clip(1), size)
    start = with_.minimum(with_.floor((size - length + 1) * place), size - length)
    backwards = [2, 1, 0]
    return start[:, backwards], (start + length)[:, backwards]
