"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_BLOCKS = {
    "conv3d": ("Conv3DBlock", "Conv3DSettings", "3D convolution, normalisation, ReLU6"),
    "residual-conv3d": (
        "ResidualConv3D",
        "ResidualConv3DSettings",
        "the same with its input added, channels kept",
    ),
    "mbconv3d": ("MBConv3D", "MBConv3DBlockSettings", "mobile inverted bottleneck"),
    "identity": ("IdentityBlock", "NoSettings", "a layer that is not there"),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the blocks."""
    for name, (attribute, settings, summary) in _BLOCKS.items():
        registry.register(
            "block",
            name,
            f"medpipe_plugins.blocks3d:{attribute}",
            parameters=f"medpipe_plugins.register.operation_settings:{settings}",
            summary=summary,
        )
