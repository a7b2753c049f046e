"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_PROBLEMS = {
    "side": ("augmentation:Side", "PlantedSettings", "V-flips destroy the label"),
    "intensity": ("augmentation:Intensity", "PlantedSettings", "inversion destroys it"),
    "symmetry": (
        "augmentation:Symmetry",
        "SymmetrySettings",
        "few samples, flips along all axes help",
    ),
    "handed": ("symmetries:Handed", "PlantedSettings", "V-flips destroy it, turns do not"),
    "mixed": (
        "symmetries:Mixed",
        "MixedSettings",
        "one flip destroys the label, two others help few samples",
    ),
    "turn": ("symmetries:Turn", "TurnSettings", "few samples, turns about the depth axis help"),
    "reach": ("architecture:Reach", "ReachSettings", "only kernel 7 is large enough"),
    "texture": (
        "architecture:Texture",
        "TextureSettings",
        "an early stride destroys it",
    ),
    "synergy": (
        "synergy:Synergy",
        "SynergySettings",
        "the best augmentation depends on the network",
    ),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the planted problems: a dataset and a space for each, of one name."""
    room = "medpipe_plugins.planted"
    for problem, (dataset, settings, summary) in _PROBLEMS.items():
        name = f"planted-{problem}"
        registry.register(
            "dataset",
            name,
            f"{room}.{dataset}",
            parameters=f"{room}.settings:{settings}",
            summary=f"planted problem: {summary}",
        )
        registry.register(
            "space", name, f"{room}.spaces:{problem}_space", summary=f"of the dataset {name}"
        )
    registry.register(
        "augmentation",
        "planted-exchange",
        f"{room}.exchange:Exchange",
        parameters=f"{room}.settings:ExchangeSettings",
        summary="turns a texture along the height into one along the width, for planted-synergy",
    )
    registry.register(
        "block",
        "planted-plane",
        f"{room}.plane:PlaneConv",
        parameters=f"{room}.settings:PlaneSettings",
        summary="convolution within planes of equal depth, for planted-synergy",
    )
