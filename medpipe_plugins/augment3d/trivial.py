"""TrivialAugment in 3D: for each volume one random operation at a random strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medpipe_plugins.augment3d.base import Augmentation3D, uniform
from medpipe_plugins.augment3d.erase import Erase
from medpipe_plugins.augment3d.geometric import (
    Affine,
    DRotation,
    Flip3D,
    HRotation,
    Shift,
    VRotation,
)
from medpipe_plugins.augment3d.intensity import Blur, ColorJitter, Invert, Noise
from medpipe_plugins.augment3d.warp import Warp

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DEGREES, FACTOR, SHARE, BOX, DEVIATION, SIGMA, CHANGE = 30.0, 1.4, 0.15, 0.3, 0.1, 2.0, 0.5
"""Strengths at the upper end: rotation in degrees, scale, shift and box as shares, deviation of the
noise, of the blur in voxels, change of brightness and contrast."""
_KERNEL = 5
_AXES = {"d_flip": -3, "v_flip": -2, "h_flip": -1}
_ROTATIONS = {"v_rotation": VRotation, "h_rotation": HRotation, "d_rotation": DRotation}
OPERATIONS = (
    "identity", *_AXES, *_ROTATIONS, "affine", "shift", "erase",
    "noise", "blur", "invert", "brightness", "contrast",
)  # fmt: skip
_CHANGES = {
    "identity": frozenset[str](),
    **dict.fromkeys(_AXES, Flip3D.changes),
    **{name: rotation.changes for name, rotation in _ROTATIONS.items()},
    "affine": Affine.changes, "shift": Shift.changes, "erase": Erase.changes,
    "noise": Noise.changes, "blur": Blur.changes, "invert": Invert.changes,
    "brightness": ColorJitter.changes, "contrast": ColorJitter.changes,
}  # fmt: skip


class TrivialAugment(Augmentation3D):
    """Does one of fifteen things to each volume, at a strength uniform up to a fixed maximum.

    Nothing is searched and nothing is tuned (Müller and Hutter 2021), which makes it the row that a
    learned policy has to beat. The operations are those of the paper's policy and a shift; with
    the identity among them one volume of fifteen stays as it is. Rotation, scale, shift,
    brightness and contrast go either way with equal probability.

    Args:
        forbid: What it must not change, such as `("side",)`: operations that do are left out, and
            it is one of fewer things.
    """

    changes = frozenset().union(*_CHANGES.values())
    leaves_out = True

    def __init__(self, *, forbid: tuple[str, ...] = ()) -> None:
        left = [i for i, name in enumerate(OPERATIONS) if not _CHANGES[name] & set(forbid)]
        self._left = torch.tensor(left)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw operation, strength in [0, 1], sign, place in [0, 1]³ and a seed of the noise."""
        device = generator.device
        left = self._left.to(device)
        operation = left[torch.randint(len(left), (count,), generator=generator, device=device)]
        strength = uniform(count, 0, 1, generator)
        sign = 2 * torch.randint(2, (count,), generator=generator, device=device).float() - 1
        place = uniform(3 * count, 0, 1, generator).view(count, 3)
        seed = torch.randint(2**62, (count,), generator=generator, device=device)
        return operation, strength, sign, place, seed

    def apply(
        self,
        volumes: Tensor,
        operation: Tensor,
        strength: Tensor,
        sign: Tensor,
        place: Tensor,
        seed: Tensor,
    ) -> Tensor:
        """Do it: what moves voxels in one pass, then what changes intensities."""
        chosen = operation.cpu()

        def rows_of(name: str) -> Tensor:
            return (chosen == OPERATIONS.index(name)).nonzero().squeeze(1)

        result = self._moved(volumes, rows_of, strength, sign, place)
        changes: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "noise": lambda v, rows: _noisy(v, strength[rows], seed[rows]),
            "blur": lambda v, rows: _blurred(v, strength[rows]),
            "invert": lambda v, rows: Invert().apply(v, torch.ones_like(strength[rows])),
            "brightness": lambda v, rows: ColorJitter().apply(
                v, 1 + CHANGE * (sign * strength)[rows], torch.ones_like(strength[rows])
            ),
            "contrast": lambda v, rows: ColorJitter().apply(
                v, torch.ones_like(strength[rows]), 1 + CHANGE * (sign * strength)[rows]
            ),
        }
        for name, change in changes.items():
            rows = rows_of(name).to(volumes.device)
            if len(rows):
                result = result.index_copy(0, rows, change(volumes.index_select(0, rows), rows))
        return result

    def _moved(
        self,
        volumes: Tensor,
        rows_of: Callable[[str], Tensor],
        strength: Tensor,
        sign: Tensor,
        place: Tensor,
    ) -> Tensor:
        warp = Warp(volumes)
        signed = sign * strength
        for name, axis in _AXES.items():
            warp.mirror(rows_of(name), axis)
        for name, rotation in _ROTATIONS.items():
            rows = rows_of(name)
            if len(rows):
                turn = rotation()
                turn.voxel_spacing = self.voxel_spacing
                turn.join(warp, rows, DEGREES * signed[rows])
        rows = rows_of("affine")
        if len(rows):
            Affine().join(warp, rows, FACTOR ** signed[rows])
        rows = rows_of("shift")
        if len(rows):
            Shift().join(warp, rows, SHARE * strength[rows, None] * (2 * place[rows] - 1))
        rows = rows_of("erase")
        if len(rows):
            edge = (BOX * strength[rows]) ** (1 / 3)
            Erase().join(warp, rows, edge[:, None].expand(-1, 3), place[rows])
        return warp.result()


def _noisy(volumes: Tensor, strength: Tensor, seeds: Tensor) -> Tensor:
    device = volumes.device
    # A generator for each, so that what a volume gets does not depend on which others are noisy.
    unit = torch.stack(
        [
            torch.randn(
                volumes.shape[1:],
                generator=torch.Generator(device).manual_seed(seed),
                device=device,
                dtype=torch.float32,
            )
            for seed in seeds.tolist()
        ]
    )
    noise = DEVIATION * strength.view(-1, 1, 1, 1, 1) * unit
    return Noise().apply(volumes, noise.to(volumes.dtype))


def _blurred(volumes: Tensor, strength: Tensor) -> Tensor:
    offsets = torch.arange(_KERNEL, device=volumes.device, dtype=strength.dtype)
    offsets = offsets - (_KERNEL - 1) / 2
    sigma = (SIGMA * strength).clamp_min(1e-3)
    return Blur().apply(volumes, torch.softmax(-0.5 * (offsets / sigma[:, None]) ** 2, 1))
