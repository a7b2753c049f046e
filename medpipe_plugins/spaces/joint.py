"""The paper's joint space: augmentation and network, composed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from medpipe_core import SearchSpace, compose
from medpipe_plugins.spaces.augment import AugmentSettings, augment_space
from medpipe_plugins.spaces.mbconv3d import MBConv3DSettings, mbconv3d_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core import Catalogue


class JointSettings(BaseModel):
    """Parameters of `medpipe-joint`: those of its two parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    augment: AugmentSettings = Field(AugmentSettings(), description="the augmentation space")
    network: MBConv3DSettings = Field(MBConv3DSettings(), description="the network space")

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        preset: {
            **{f"augment.{key}": v for key, v in AugmentSettings.presets[preset].items()},
            **{f"network.{key}": v for key, v in MBConv3DSettings.presets[preset].items()},
        }
        for preset in ("quick", "laptop")
    }


def joint_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe the joint space of about 7.4 × 10³⁶ members (paper, section III-A3).

    The budget is the network's.

    Args:
        operations: Who knows the operations, such as a registry.
        settings: Fields of `JointSettings`.
    """
    chosen = JointSettings(**settings)
    network = mbconv3d_space(operations, **dict(chosen.network))
    return compose(
        "medpipe-joint",
        augment=augment_space(operations, **dict(chosen.augment)),
        network=network,
    )
