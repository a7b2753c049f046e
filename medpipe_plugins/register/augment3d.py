"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_AUGMENTATIONS = {
    "noise": ("Noise", "adds Gaussian noise"),
    "v_flip": ("VFlip", "mirrors along height"),
    "h_flip": ("HFlip", "mirrors along width"),
    "d_flip": ("DFlip", "mirrors along depth"),
    "v_rotation": ("VRotation", "turns about the height axis"),
    "h_rotation": ("HRotation", "turns about the width axis"),
    "d_rotation": ("DRotation", "turns about the depth axis, within slices"),
    "erase": ("Erase", "sets a random box to 0"),
    "affine": ("Affine", "scales about the centre"),
    "blur": ("Blur", "Gaussian blur"),
    "invert": ("Invert", "inverts intensities"),
    "color_jitter": ("ColorJitter", "changes brightness and contrast"),
    "shift": ("Shift", "moves the content along all axes"),
    "trivial_augment": ("TrivialAugment", "one random operation at a random strength"),
}
_SETTINGS = {
    "noise": "NoiseSettings",
    "blur": "BlurSettings",
    "trivial_augment": "TrivialSettings",
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the paper's twelve augmentations, and two more."""
    for name, (attribute, summary) in _AUGMENTATIONS.items():
        settings = _SETTINGS.get(name, "NoSettings")
        registry.register(
            "augmentation",
            name,
            f"medpipe_plugins.augment3d:{attribute}",
            parameters=f"medpipe_plugins.register.operation_settings:{settings}",
            summary=summary,
        )
