"""Names and import strings, so that registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_SPACES = {
    "medpipe-augment": (
        "augment:augment_space",
        "augment:AugmentSettings",
        "the paper's twelve augmentation layers",
    ),
    "medpipe-mbconv3d": (
        "mbconv3d:mbconv3d_space",
        "mbconv3d:MBConv3DSettings",
        "the paper's network: stem and six blocks of MBConv3D",
    ),
    "medpipe-mbconv3d-wide": (
        "mbconv3d:wide_mbconv3d_space",
        "mbconv3d:WideMBConv3DSettings",
        "the same with more channels",
    ),
    "medpipe-training": (
        "training:training_space",
        "training:TrainingSettings",
        "learning rate, weight decay, label smoothing",
    ),
    "medpipe-policy": (
        "policy:policy_space",
        "policy:PolicySettings",
        "augmentation alone, with a registered model as the network",
    ),
    "medpipe-residual3d": (
        "residual:residual3d_space",
        "residual:ResidualSettings",
        "small residual networks, dense and MBConv",
    ),
    "medpipe-joint-residual": (
        "residual:joint_residual_space",
        "residual:JointResidualSettings",
        "augmentation, small residual network and training settings together",
    ),
    "medpipe-joint": (
        "joint:joint_space",
        "joint:JointSettings",
        "augmentation and network together",
    ),
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the spaces."""
    room = "medpipe_plugins.spaces"
    for name, (factory, settings, summary) in _SPACES.items():
        registry.register(
            "space",
            name,
            f"{room}.{factory}",
            parameters=f"{room}.{settings}",
            summary=summary,
        )
