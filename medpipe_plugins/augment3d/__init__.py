"""Augmentations of 3D volumes, for whole batches on their own device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_plugins.augment3d.base import (
        Augmentation3D,
        MagnitudeError,
        VolumeShapeError,
        per_volume,
        uniform,
    )
    from medpipe_plugins.augment3d.changes import (
        Add,
        Clamp,
        Contrast,
        Gaussian,
        Linear,
        Smooth,
        SmoothAxes,
    )
    from medpipe_plugins.augment3d.erase import Erase
    from medpipe_plugins.augment3d.filtering import Filter, Filter3D
    from medpipe_plugins.augment3d.geometric import (
        Affine,
        DFlip,
        DRotation,
        HFlip,
        HRotation,
        Shift,
        VFlip,
        VRotation,
    )
    from medpipe_plugins.augment3d.intensity import Blur, ColorJitter, Invert, Noise
    from medpipe_plugins.augment3d.resampling import resample
    from medpipe_plugins.augment3d.trivial import TrivialAugment
    from medpipe_plugins.augment3d.warp import Composable3D, Warp, Warp3D

__all__ = [
    "Add",
    "Affine",
    "Augmentation3D",
    "Blur",
    "Clamp",
    "ColorJitter",
    "Composable3D",
    "Contrast",
    "DFlip",
    "DRotation",
    "Erase",
    "Filter",
    "Filter3D",
    "Gaussian",
    "HFlip",
    "HRotation",
    "Invert",
    "Linear",
    "MagnitudeError",
    "Noise",
    "Shift",
    "Smooth",
    "SmoothAxes",
    "TrivialAugment",
    "VFlip",
    "VRotation",
    "VolumeShapeError",
    "Warp",
    "Warp3D",
    "per_volume",
    "resample",
    "uniform",
]

# The grids of magnitudes lie in this package and are read without torch; operations need it.
_MODULES = {
    "base": ("Augmentation3D", "MagnitudeError", "VolumeShapeError", "per_volume", "uniform"),
    "changes": ("Add", "Clamp", "Contrast", "Gaussian", "Linear", "Smooth", "SmoothAxes"),
    "erase": ("Erase",),
    "filtering": ("Filter", "Filter3D"),
    "geometric": (
        "Affine",
        "DFlip",
        "DRotation",
        "HFlip",
        "HRotation",
        "Shift",
        "VFlip",
        "VRotation",
    ),
    "intensity": ("Blur", "ColorJitter", "Invert", "Noise"),
    "resampling": ("resample",),
    "trivial": ("TrivialAugment",),
    "warp": ("Composable3D", "Warp", "Warp3D"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_plugins.augment3d' has no attribute {name!r}")
    module = importlib.import_module(f"medpipe_plugins.augment3d.{_MODULE_OF[name]}")
    return getattr(module, name)
