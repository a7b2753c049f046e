"""An augmentation that removes what alternates voxel by voxel, and nothing else by much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_plugins.augment3d import Augmentation3D

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Coarse(Augmentation3D):
    """Averages each voxel with the one before it, along height and along width, around the edges.

    A pattern of period two is gone exactly where the length is even. Around the edges, because a
    repeated edge would leave some of it there.
    """

    def draw(self, count: int, generator: torch.Generator, **_: Any) -> tuple[()]:
        """Draw nothing."""
        return ()

    def apply(self, volumes: Tensor) -> Tensor:
        """Average along height, then along width."""
        for axis in (3, 4):
            volumes = (volumes + volumes.roll(1, axis)) / 2
        return volumes
