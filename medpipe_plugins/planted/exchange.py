"""An augmentation that turns a texture along the height into one along the width, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from medpipe_plugins.augment3d import Augmentation3D

if TYPE_CHECKING:
    from torch import Tensor

_HEIGHT, _WIDTH = 3, 4


class Exchange(Augmentation3D):
    """Exchanges what alternates voxel by voxel along the height with what does along the width.

    All else stays as it is. Exchanging twice gives the volume back where both lengths are even.
    """

    changes = frozenset({"texture"})

    def draw(self, count: int, generator: torch.Generator, **_: Any) -> tuple[()]:
        """Draw nothing: p alone decides."""
        return ()

    def apply(self, volumes: Tensor) -> Tensor:
        """Exchange the two amplitudes, of each volume and channel."""
        along_height, along_width = _alternating(volumes, _HEIGHT), _alternating(volumes, _WIDTH)
        difference = (volumes * (along_height - along_width)).mean((2, 3, 4), keepdim=True)
        return volumes - difference * (along_height - along_width)


def _alternating(volumes: Tensor, axis: int) -> Tensor:
    """Return +1, −1, +1, … along an axis, of length 1 along the others."""
    signs = torch.ones(volumes.shape[axis], dtype=volumes.dtype, device=volumes.device)
    signs[1::2] = -1
    return signs.view([-1 if at == axis else 1 for at in range(volumes.ndim)])
