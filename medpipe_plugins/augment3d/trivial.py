"""TrivialAugment in 3D: for each volume one random operation at a random strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medpipe_core import Fusion
from medpipe_plugins.augment3d.base import Augmentation3D, numbers
from medpipe_plugins.augment3d.changes import Gaussian
from medpipe_plugins.augment3d.erase import Erase
from medpipe_plugins.augment3d.filtering import Filter
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
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from medpipe_plugins.augment3d.changes import Change

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


class OneByOne(Fusion):
    """Operations that are done one after the other, with draws on the CPU."""

    linear = False
    on_cpu = True

    def __init__(self, volumes: Tensor) -> None:
        super().__init__(volumes)
        self.done = volumes

    def result(self) -> Tensor:
        """Return what was done."""
        return self.done


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
    fusion: ClassVar[type[Fusion] | None] = OneByOne

    def __init__(self, *, forbid: tuple[str, ...] = ()) -> None:
        left = [i for i, name in enumerate(OPERATIONS) if not _CHANGES[name] & set(forbid)]
        self._left = torch.tensor(left)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw operation, strength in [0, 1], sign, place in [0, 1]³ and a seed of the noise."""
        device = generator.device
        which = torch.randint(len(self._left), (count,), generator=generator, device=device).cpu()
        strength = torch.from_numpy(numbers(count, generator=generator))
        sign = torch.randint(2, (count,), generator=generator, device=device).cpu() * 2.0 - 1
        place = torch.from_numpy(numbers(count, 3, generator=generator))
        seed = torch.randint(2**62, (count,), generator=generator, device=device).cpu()
        return self._left[which], strength, sign.to(torch.float32), place, seed

    def join(self, fusion: OneByOne, rows: Tensor, *draw: Tensor) -> None:
        """Do it to some volumes."""
        fusion.done = self._done(fusion.done, rows, *draw)

    def apply(self, volumes: Tensor, *draw: Tensor) -> Tensor:
        """Do it: what moves voxels in one pass, then what changes intensities."""
        return self._done(volumes, torch.arange(len(volumes)), *(part.cpu() for part in draw))

    def _done(self, volumes: Tensor, rows: Tensor, *draw: Tensor) -> Tensor:
        operation, strength, sign, place, seed = draw
        warp, chosen = Warp(volumes), operation.numpy()
        of = {name: torch.from_numpy(np.flatnonzero(chosen == n))
              for n, name in enumerate(OPERATIONS) if (chosen == n).any()}  # fmt: skip
        signed = sign * strength
        for name, axis in _AXES.items():
            if name in of:
                warp.mirror(rows[of[name]], axis)
        for name, rotation in _ROTATIONS.items():
            if name in of:
                turn = rotation()
                turn.voxel_spacing = self.voxel_spacing
                turn.join(warp, rows[of[name]], DEGREES * signed[of[name]])
        if (at := of.get("affine")) is not None:
            Affine().join(warp, rows[at], FACTOR ** signed[at])
        if (at := of.get("shift")) is not None:
            Shift().join(warp, rows[at], SHARE * strength[at, None] * (2 * place[at] - 1))
        if (at := of.get("erase")) is not None:
            edge = (BOX * strength[at]) ** (1 / 3)
            Erase().join(warp, rows[at], edge[:, None].expand(-1, 3), place[at])
        chain = Filter(warp.result())
        for name, steps_of in _STEPS.items():
            if (at := of.get(name)) is not None:
                chain.then(rows[at], steps_of(strength[at], signed[at], seed[at]))
        return chain.result()


def _noise(strength: Tensor, _: Tensor, seed: Tensor) -> Sequence[Change]:
    return (Gaussian(DEVIATION * strength, seed),)


def _blur(strength: Tensor, *_: Tensor) -> Sequence[Change]:
    offsets = torch.arange(_KERNEL, dtype=strength.dtype) - (_KERNEL - 1) / 2
    sigma = (SIGMA * strength).clamp_min(1e-3)
    return Blur().steps(torch.softmax(-0.5 * (offsets / sigma[:, None]) ** 2, 1))


def _invert(strength: Tensor, *_: Tensor) -> Sequence[Change]:
    return Invert().steps(torch.ones_like(strength))


def _brightness(strength: Tensor, signed: Tensor, _: Tensor) -> Sequence[Change]:
    return ColorJitter().steps(1 + CHANGE * signed, torch.ones_like(strength))


def _contrast(strength: Tensor, signed: Tensor, _: Tensor) -> Sequence[Change]:
    return ColorJitter().steps(torch.ones_like(strength), 1 + CHANGE * signed)


_STEPS: dict[str, Callable[[Tensor, Tensor, Tensor], Sequence[Change]]] = {
    "noise": _noise, "blur": _blur, "invert": _invert,
    "brightness": _brightness, "contrast": _contrast,
}  # fmt: skip
