"""TrivialAugment in 3D: for each volume one random operation at a random strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medpipe_core import Fusion, Symmetry
from medpipe_plugins.augment3d.base import Augmentation3D, as_array
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
from medpipe_plugins.augment3d.intensity import (
    Blur,
    ColorJitter,
    Invert,
    Noise,
    seeds_of,
)
from medpipe_plugins.augment3d.warp import Warp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from medpipe_plugins.augment3d.changes import Change

    Numbers = NDArray[np.float32]

DEGREES, FACTOR, SHARE, BOX, DEVIATION, SIGMA, CHANGE = 30.0, 1.4, 0.15, 0.3, 0.1, 2.0, 0.5
"""Strengths at the upper end: rotation in degrees, scale, shift and box as shares, deviation of the
noise, of the blur in voxels of the finest axis, change of brightness and contrast."""
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
    uniforms = 8
    fusion: ClassVar[type[Fusion] | None] = OneByOne

    def __init__(self, *, forbid: tuple[str, ...] = ()) -> None:
        left = [i for i, name in enumerate(OPERATIONS) if not _CHANGES[name] & set(forbid)]
        self._left = np.array(left)

    def symmetries(self, axes: int) -> tuple[Symmetry, ...]:
        """Return the mirrors among what it does."""
        left = {OPERATIONS[i] for i in self._left}
        return tuple(Symmetry.mirror(axis, axes) for name, axis in _AXES.items() if name in left)

    def from_uniforms(self, numbers: Numbers) -> tuple[NDArray[Any], ...]:
        """Draw operation, strength in [0, 1], sign, place in [0, 1]³ and a seed of the noise."""
        which = (numbers[:, 0] * len(self._left)).astype(np.int64)
        sign = np.where(numbers[:, 2] < 0.5, np.float32(-1), np.float32(1))
        return self._left[which], numbers[:, 1], sign, numbers[:, 3:6], seeds_of(numbers[:, 6:])

    def join(self, fusion: OneByOne, rows: Any, *draw: Any) -> None:
        """Do it to some volumes."""
        fusion.done = self._done(fusion.done, as_array(rows), *map(as_array, draw))

    def apply(self, volumes: Tensor, *draw: Any) -> Tensor:
        """Do it: what moves voxels in one pass, then what changes intensities."""
        return self._done(volumes, np.arange(len(volumes)), *map(as_array, draw))

    def _done(self, volumes: Tensor, rows: NDArray[np.int64], *draw: NDArray[Any]) -> Tensor:
        operation, strength, sign, place, seed = draw
        warp = Warp(volumes)
        of = {name: np.flatnonzero(operation == n)
              for n, name in enumerate(OPERATIONS) if (operation == n).any()}  # fmt: skip
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
            edge = np.cbrt(BOX * strength[at])
            Erase().join(warp, rows[at], np.repeat(edge[:, None], 3, 1), place[at])
        chain = Filter(warp.result())
        for name, steps_of in _STEPS.items():
            if (at := of.get(name)) is not None:
                spacing = self.voxel_spacing
                chain.then(rows[at], steps_of(strength[at], signed[at], seed[at], spacing))
        return chain.result()


def _noise(strength: Numbers, _: Numbers, seed: Any, *__: Any) -> Sequence[Change]:
    return (Gaussian(DEVIATION * strength, seed),)


def _blur(
    strength: Numbers, _: Numbers, __: Numbers, spacing: tuple[float, ...] | None
) -> Sequence[Change]:
    blur = Blur()
    blur.voxel_spacing = spacing
    return blur.steps(blur.weights(np.maximum(SIGMA * strength, np.float32(1e-3)), _KERNEL))


def _invert(strength: Numbers, *_: Any) -> Sequence[Change]:
    return Invert().steps(np.ones_like(strength))


def _brightness(strength: Numbers, signed: Numbers, *_: Any) -> Sequence[Change]:
    return ColorJitter().steps(1 + CHANGE * signed, np.ones_like(strength))


def _contrast(strength: Numbers, signed: Numbers, *_: Any) -> Sequence[Change]:
    return ColorJitter().steps(np.ones_like(strength), 1 + CHANGE * signed)


_STEPS: dict[str, Callable[..., Sequence[Change]]] = {
    "noise": _noise, "blur": _blur, "invert": _invert,
    "brightness": _brightness, "contrast": _contrast,
}  # fmt: skip
