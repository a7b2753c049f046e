"""Augmentation with a fixed network: a registered model, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from medpipe_core import Group, Operation, Registered, SearchSpace, compose
from medpipe_plugins.spaces.augment import AugmentSettings, Plain, augment_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core import Catalogue


class PolicySettings(BaseModel):
    """Parameters of `medpipe-policy`: the augmentation, and the network it is for."""

    # Pydantic keeps names that begin with `model_` for itself.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    augmented: bool = Field(
        True, description="whether there is any augmentation; false leaves augment.* out"
    )
    augment: AugmentSettings = Field(AugmentSettings(), description="the augmentation space")
    model: Annotated[str, Registered("model")] = Field(
        "resnet18-3d", validate_default=True, description="the network: any registered model"
    )
    model_parameters: dict[str, Plain] = Field(
        {}, description="parameters of the model, such as {width: 8}"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        preset: {f"augment.{key}": v for key, v in AugmentSettings.presets[preset].items()}
        for preset in ("quick", "laptop")
    }


def policy_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe augmentation policies for one fixed network.

    With `augmented=False` there is nothing to choose, and a run trains and tests the bare model.

    Args:
        operations: Who knows the operations, such as a registry.
        settings: Fields of `PolicySettings`.
    """
    chosen = PolicySettings(**settings)
    model = Operation("model", chosen.model, dict(chosen.model_parameters))
    network = SearchSpace("medpipe-model", Group({"model": model}))
    if not chosen.augmented:
        return compose("medpipe-policy", network=network)
    augment = augment_space(operations, **dict(chosen.augment))
    return compose("medpipe-policy", augment=augment, network=network)
