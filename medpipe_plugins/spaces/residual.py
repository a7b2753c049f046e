"""Augmentation, small residual networks, and how they are trained: for small machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medpipe_core import (
    Group,
    Operation,
    OperationChoice,
    Ref,
    SearchSpace,
    Shared,
    ValueChoice,
    compose,
)
from medpipe_plugins.spaces.augment import AugmentSettings, Grids, Layer, augment_space
from medpipe_plugins.spaces.mbconv3d import BudgetSettings, Channels, Depth, Stride
from medpipe_plugins.spaces.training import (
    Decay,
    Rate,
    Smoothing,
    TrainingSettings,
    training_space,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core import Catalogue

_LAYERS = (
    "noise", "v_flip", "h_flip", "d_flip", "v_rotation", "h_rotation", "d_rotation",
    "erase", "affine", "blur", "color_jitter",
)  # fmt: skip
_NORMALISATION = "normalisation"
_KERNELS, _EXPANSION = (3, 5), 3


class ResidualSettings(BaseModel):
    """Parameters of `medpipe-residual3d`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stem_channels: Channels = Field(16, description="output channels of the stem")
    stem_strides: tuple[Stride, ...] = Field(
        (2,), min_length=1, description="strides offered to the stem; every stage halves the axes"
    )
    channels: tuple[Channels, ...] = Field(
        (24, 48, 96), min_length=1, description="output channels of each stage"
    )
    depths: tuple[Depth, ...] = Field(
        (1, 2, 2), min_length=1, description="residual layers of each stage"
    )
    cell_channels: Channels | None = Field(
        8, description="channels of the network without strides; null leaves it out"
    )
    cell_depth: Depth = Field(4, description="residual layers of the network without strides")
    budget: BudgetSettings = Field(
        BudgetSettings(), description="upper limits on the network (parameters, multiply_adds)"
    )

    @model_validator(mode="after")
    def _one_depth_a_stage(self) -> Self:
        if len(self.channels) != len(self.depths):
            raise ValueError(
                f"channels has {len(self.channels)} entries and depths {len(self.depths)}; "
                "give one of each for every stage"
            )
        return self


class MildAugmentSettings(AugmentSettings):
    """Parameters of the augmentation part: those of `medpipe-augment`, with other defaults."""

    layers: tuple[Layer, ...] = Field(
        _LAYERS, description="the layers, in the order they are applied: registered augmentations"
    )
    extra: tuple[Layer, ...] = Field(
        ("shift",), description="registered augmentations to add after these"
    )
    grids: Grids = Field(
        "mild", description="magnitudes that layers offer: the paper's, or ones that spoil less"
    )


class FewTrainingSettings(TrainingSettings):
    """Parameters of the training part: those of `medpipe-training`, with other defaults."""

    lr: tuple[Rate, ...] = Field(
        (1e-3, 3e-3), min_length=1, description="Adam's first learning rates"
    )
    weight_decay: tuple[Decay, ...] = Field(
        (0.01, 0.05), min_length=1, description="decoupled weight decays"
    )
    label_smoothing: tuple[Smoothing, ...] = Field(
        (0.05,), min_length=1, description="shares spread over all classes"
    )


class JointResidualSettings(BaseModel):
    """Parameters of `medpipe-joint-residual`: those of its three parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    augment: MildAugmentSettings = Field(
        MildAugmentSettings(), description="the augmentation space"
    )
    network: ResidualSettings = Field(ResidualSettings(), description="the network space")
    training: FewTrainingSettings = Field(
        FewTrainingSettings(), description="how a network is trained"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        preset: {"augment.probabilities": [0.0, 0.2, 0.5], "network.cell_channels": None}
        for preset in ("quick", "laptop")
    }


def residual3d_space(**settings: Any) -> SearchSpace:
    """Describe small residual networks: a pyramid of stages, or a cell without strides.

    A layer is a dense convolution or an MBConv of kernel 3 or 5, with its input added, or nothing.
    Normalisation is over the batch or over each volume, for all dense layers alike. Unlike in the
    paper's space strides are not searched layer by layer: of seven free strides few combinations
    neither keep nor lose all of a small volume.

    Args:
        settings: Fields of `ResidualSettings`.
    """
    chosen = ResidualSettings(**settings)
    layer = OperationChoice(
        {
            **{f"conv_k{kernel}": _dense("residual-conv3d", kernel=kernel) for kernel in _KERNELS},
            **{
                f"mbconv_k{kernel}_e{_EXPANSION}": Operation(
                    "block",
                    "mbconv3d",
                    {"kernel": kernel, "expansion": _EXPANSION, "residual": True},
                )
                for kernel in _KERNELS
            },
            "identity": Operation("block", "identity"),
        }
    )
    strides = chosen.stem_strides
    stride = ValueChoice(*strides) if len(strides) > 1 else strides[0]
    parts: dict[str, Any] = {"stem": _dense("conv3d", channels=chosen.stem_channels, stride=stride)}
    for number, (channels, depth) in enumerate(
        zip(chosen.channels, chosen.depths, strict=True), start=1
    ):
        layers = {f"layer{place}": layer for place in range(1, depth + 1)}
        reduction = _dense("conv3d", channels=channels, stride=2)
        parts[f"stage{number}"] = Group({"reduction": reduction, **layers})
    body: Group | OperationChoice = Group(parts)
    if chosen.cell_channels is not None:
        body = OperationChoice({"pyramid": body, "cell": _cell(chosen, chosen.cell_channels)})
    shared = {_NORMALISATION: ValueChoice("batch", "instance")}
    root = Group({"body": Shared(shared, body)})
    return SearchSpace("medpipe-residual3d", root, budget=chosen.budget.budget())


def joint_residual_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe the joint space: policy with shift, residual network, settings of training.

    Args:
        operations: Who knows the operations, such as a registry.
        settings: Fields of `JointResidualSettings`.
    """
    chosen = JointResidualSettings(**settings)
    return compose(
        "medpipe-joint-residual",
        augment=augment_space(operations, **dict(chosen.augment)),
        network=residual3d_space(**dict(chosen.network)),
        training=training_space(**dict(chosen.training)),
    )


def _cell(settings: ResidualSettings, channels: int) -> Group:
    layer = OperationChoice(
        {f"conv_k{kernel}": _dense("residual-conv3d", kernel=kernel) for kernel in _KERNELS}
    )
    return Group(
        {
            "stem": _dense("conv3d", channels=channels),
            **{f"layer{place}": layer for place in range(1, settings.cell_depth + 1)},
            # Both bodies give as many channels, for the one linear layer that follows.
            "widening": _dense("conv3d", channels=settings.channels[-1], kernel=1),
        }
    )


def _dense(name: str, **parameters: Any) -> Operation:
    return Operation("block", name, {**parameters, _NORMALISATION: Ref(_NORMALISATION)})
