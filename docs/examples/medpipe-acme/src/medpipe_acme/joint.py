"""A space with all there is: shared choices, constraints, a budget, a training part, presets."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field

from medpipe_core import (
    Group,
    Limit,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    ValueChoice,
    compose,
    operation,
)
from medpipe_plugins.spaces import AugmentSettings, BudgetSettings

Positive = Annotated[int, Ge(1)]


class JointSettings(BaseModel):
    """Parameters of `acme-joint`. Those of a part nest: `space.augment.extra=[acme-gamma]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    augment: AugmentSettings = Field(AugmentSettings(), description="the augmentation")
    channels: tuple[Positive, ...] = Field((16, 32), description="channels of each stage")
    active: Positive = Field(4, description="most augmentations that are used at once")
    budget: BudgetSettings = Field(BudgetSettings(), description="limits of the network")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {
            "channels": [4, 8],
            "augment.probabilities": [0.0, 0.1, 0.3],
            "budget.multiply_adds": 4_000_000,
        }
    }


def joint_space(registry, **settings):
    """Describe it; `registry` is handed over, settings are fields of `JointSettings`."""
    chosen = JointSettings(**settings)  # a nested model comes as one: chosen.augment.layers
    used = [p for p in chosen.augment.probabilities if p > 0]
    return compose(
        "acme-joint",
        augment=registry.space("medpipe-augment", **dict(chosen.augment)),
        network=network(registry, chosen.channels),
        training=registry.space("medpipe-training", label_smoothing=[0.0]),
        constraints=[Limit({"augment/*/p": used}, at_most=chosen.active)],
        budget=chosen.budget.budget(),
    )


def network(registry, channels):
    """Describe a network of stages that all have one kernel size, with at least one stride of 2."""
    stages = {}
    for number, width in enumerate(channels, 1):
        down = {"channels": width, "kernel": Ref("kernel"), "stride": ValueChoice(1, 2)}
        layer = OperationChoice(
            {
                "conv": operation(registry, "block", "acme-conv", {"kernel": Ref("kernel")}),
                "none": Operation("block", "identity"),
            }
        )
        stages[f"stage{number}"] = Group(
            {"down": Operation("block", "conv3d", down), "layers": Repeat(layer, (1, 2))}
        )
    return SearchSpace(
        "acme-network",
        Shared({"kernel": ValueChoice(3, 5)}, Group(stages)),
        constraints=[Limit({"*/stride": [2]}, at_least=1, reason="a volume is to become smaller")],
    )
