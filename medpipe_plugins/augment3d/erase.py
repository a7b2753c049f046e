"""Random erasing of a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import as_array, as_tensor, between, require, sizes
from medpipe_plugins.augment3d.warp import Composable3D

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_plugins.augment3d.warp import Warp


class Erase(Composable3D):
    """Sets a box somewhere inside each volume to 0.

    The box takes a share `scale` of the volume, uniform between its bounds, and its height is
    `ratio` times its width (both as shares of their axes), uniform between its bounds. Depth takes
    the cube root of the share. A ratio that would push an edge past its whole axis is brought back
    to the nearest that does not, so the share is kept; a share above 1 is the whole volume. Edges
    are rounded to whole voxels, at least one. All channels lose the same box. Bounds in the wrong
    order are swapped. Shares of axes are the same lengths of the patient whatever the spacing.

    Attributes:
        scale_left: One bound of the share of the volume.
        scale_right: The other.
        ratio_left: One bound of height over width.
        ratio_right: The other.
    """

    changes = frozenset({"content"})
    uniforms = 5

    scale_left = magnitudes.ERASE_SCALE_LEFT
    scale_right = magnitudes.ERASE_SCALE_RIGHT
    ratio_left = magnitudes.ERASE_RATIO_LEFT
    ratio_right = magnitudes.ERASE_RATIO_RIGHT

    def from_uniforms(
        self,
        numbers: NDArray[np.float32],
        *,
        scale_left: float,
        scale_right: float,
        ratio_left: float,
        ratio_right: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw each box: its edges and its place, as shares of the axes, both `(count, 3)`.

        Raises:
            MagnitudeError: A share or a ratio is not above 0.
        """
        scales, ratios = (scale_left, scale_right), (ratio_left, ratio_right)
        require(min(scales) > 0, self, "shares of the volume above 0", scale=scales)
        require(min(ratios) > 0, self, "ratios above 0", ratio=ratios)
        edge = np.cbrt(np.minimum(between(numbers[:, 0], *scales), 1))
        stretch = np.sqrt(between(numbers[:, 1], *ratios))
        stretch = np.minimum(np.maximum(stretch, edge), 1 / edge)
        edges = np.empty((len(numbers), 3), np.float32)
        edges[:, 0], edges[:, 1], edges[:, 2] = edge, edge * stretch, edge / stretch
        return edges, numbers[:, 2:]

    def join(self, fusion: Warp, rows: Any, edges: Any, place: Any) -> None:
        """Set the boxes to 0."""
        size = sizes(fusion.volumes)
        if fusion.seen:
            edges = as_tensor(edges)
            fusion.erase(rows, *_box(edges.new_tensor(size), edges, as_tensor(place), torch))
        else:
            whole = np.array(size, np.float32)
            fusion.erase(rows, *_box(whole, as_array(edges), as_array(place), np))


def _box(size: Any, edges: Any, place: Any, with_: Any) -> tuple[Any, Any]:
    """Return each box's first voxel and the one after its last, (x, y, z), by numpy or by torch."""
    length = with_.minimum(with_.maximum(with_.round(edges * size), size**0), size)
    room = size - length
    start = with_.minimum(with_.floor((room + 1) * place), room)
    stop = start + length
    if with_ is np:
        return start[:, ::-1], stop[:, ::-1]
    return start.flip(1), stop.flip(1)
