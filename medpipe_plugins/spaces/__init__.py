"""The search spaces that this package registers, and their settings for spaces that nest them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_plugins.spaces.augment import AugmentSettings, augment_space
    from medpipe_plugins.spaces.joint import JointSettings, joint_space
    from medpipe_plugins.spaces.mbconv3d import (
        BudgetSettings,
        MBConv3DSettings,
        mbconv3d_space,
    )
    from medpipe_plugins.spaces.policy import PolicySettings, policy_space
    from medpipe_plugins.spaces.training import TrainingSettings, training_space

__all__ = [
    "AugmentSettings",
    "BudgetSettings",
    "JointSettings",
    "MBConv3DSettings",
    "PolicySettings",
    "TrainingSettings",
    "augment_space",
    "joint_space",
    "mbconv3d_space",
    "policy_space",
    "training_space",
]

_MODULE_OF = {
    "AugmentSettings": "augment",
    "BudgetSettings": "mbconv3d",
    "JointSettings": "joint",
    "MBConv3DSettings": "mbconv3d",
    "PolicySettings": "policy",
    "TrainingSettings": "training",
    "augment_space": "augment",
    "joint_space": "joint",
    "mbconv3d_space": "mbconv3d",
    "policy_space": "policy",
    "training_space": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_plugins.spaces' has no attribute {name!r}")
    module = importlib.import_module(f"medpipe_plugins.spaces.{_MODULE_OF[name]}")
    return getattr(module, name)
