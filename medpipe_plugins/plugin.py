"""What this package registers. Everything is an import string, so registering imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core import hookimpl

if TYPE_CHECKING:
    from medpipe_core import Registrar

_AUGMENTATIONS = {
    "noise": "Noise",
    "v_flip": "VFlip",
    "h_flip": "HFlip",
    "d_flip": "DFlip",
    "v_rotation": "VRotation",
    "h_rotation": "HRotation",
    "d_rotation": "DRotation",
    "erase": "Erase",
    "affine": "Affine",
    "blur": "Blur",
    "invert": "Invert",
    "color_jitter": "ColorJitter",
}
_BLOCKS = {"conv3d": "Conv3DBlock", "mbconv3d": "MBConv3D", "identity": "IdentityBlock"}
_SPACES = {
    "medpipe-augment": ("augment", "augment_space", "AugmentSettings"),
    "medpipe-mbconv3d": ("mbconv3d", "mbconv3d_space", "MBConv3DSettings"),
    "medpipe-mbconv3d-wide": ("mbconv3d", "wide_mbconv3d_space", "WideMBConv3DSettings"),
    "medpipe-joint": ("joint", "joint_space", "JointSettings"),
}

_MEDMNIST3D = ("organ", "nodule", "fracture", "adrenal", "vessel", "synapse")


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the bundle: operations, blocks, the paper's spaces and the datasets."""
    for name, attribute in _AUGMENTATIONS.items():
        registry.register("augmentation", name, f"medpipe_plugins.augment3d:{attribute}")
    for name, attribute in _BLOCKS.items():
        registry.register("block", name, f"medpipe_plugins.blocks3d:{attribute}")
    for name, (module, factory, settings) in _SPACES.items():
        room = f"medpipe_plugins.spaces.{module}"
        registry.register("space", name, f"{room}:{factory}", parameters=f"{room}:{settings}")
    room = "medpipe_plugins.datasets"
    registry.register(
        "dataset", "phantom3d", f"{room}:Phantom3D", parameters=f"{room}:PhantomSettings"
    )
    for name in (f"{organ}mnist3d" for organ in _MEDMNIST3D):
        registry.register(
            "dataset",
            name,
            f"{room}.medmnist3d:{name}",
            parameters=f"{room}.medmnist3d:MedMNISTSettings",
        )
