"""What this package registers. Everything is an import string, so registering imports nothing."""

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
}
_BLOCKS = {
    "conv3d": ("Conv3DBlock", "3D convolution, batch normalisation, ReLU6"),
    "mbconv3d": ("MBConv3D", "mobile inverted bottleneck"),
    "identity": ("IdentityBlock", "a layer that is not there"),
}
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
    "medpipe-joint": (
        "joint:joint_space",
        "joint:JointSettings",
        "augmentation and network together",
    ),
}
_MEDMNIST3D = {
    "organmnist3d": "abdominal CT, eleven organs",
    "nodulemnist3d": "chest CT, benign and malignant nodules",
    "fracturemnist3d": "chest CT, three kinds of rib fracture",
    "adrenalmnist3d": "shapes of adrenal glands, normal and hyperplasia",
    "vesselmnist3d": "shapes of brain vessels, with and without aneurysm",
    "synapsemnist3d": "electron microscopy, two kinds of synapse",
}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the bundle: operations, blocks, the paper's spaces and the datasets."""
    for name, (attribute, summary) in _AUGMENTATIONS.items():
        target = f"medpipe_plugins.augment3d:{attribute}"
        registry.register("augmentation", name, target, summary=summary)
    for name, (attribute, summary) in _BLOCKS.items():
        registry.register("block", name, f"medpipe_plugins.blocks3d:{attribute}", summary=summary)
    for name, (factory, settings, summary) in _SPACES.items():
        room = "medpipe_plugins.spaces"
        registry.register(
            "space",
            name,
            f"{room}.{factory}",
            parameters=f"{room}.{settings}",
            summary=summary,
        )
    room = "medpipe_plugins.datasets"
    registry.register(
        "dataset",
        "phantom3d",
        f"{room}.phantom3d:Phantom3D",
        parameters=f"{room}.phantom3d:PhantomSettings",
        summary="made in process: plates, balls and rods, with a known ceiling",
    )
    for name, summary in _MEDMNIST3D.items():
        registry.register(
            "dataset",
            name,
            f"{room}.medmnist3d:{name}",
            parameters=f"{room}.medmnist3d:MedMNISTSettings",
            summary=summary,
        )
