"""The paper's network space: a stem and six blocks of MBConv3D layers (section III-A2)."""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medpipe_core import (
    Budget,
    Group,
    Operation,
    OperationChoice,
    Registered,
    SearchSpace,
    ValueChoice,
    did_you_mean,
    operation,
)
from medpipe_plugins.spaces.augment import Plain, layer_key, refuse_searched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core import Catalogue

Positive = Annotated[int, Ge(1)]
Channels = Annotated[int, Ge(1), Le(65_536)]
Depth = Annotated[int, Ge(0), Le(1000)]
Stride = Annotated[int, Ge(1), Le(64)]

CANDIDATES = (
    "mbconv_k3_e3",
    "mbconv_k5_e3",
    "mbconv_k7_e3",
    "mbconv_k3_e4",
    "mbconv_k5_e4",
    "mbconv_k7_e4",
    "mbconv_k3_e6",
    "identity",
)
PAPER_CHANNELS = (32, 48, 64, 96, 160, 320)
WIDE_CHANNELS = (32, 64, 128, 256, 512, 1024)
_MBCONV = r"mbconv_k(?P<kernel>[0-9]+)_e(?P<expansion>[0-9]+)"
_WIDEST_KERNEL, _MOST_EXPANSION = 63, 64
Candidate = Annotated[str, Registered("block", unless=_MBCONV)]


class BudgetSettings(BaseModel):
    """Upper limits on the network, which every searcher keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: Positive | None = Field(None, description="most trainable numbers of a network")
    multiply_adds: Positive | None = Field(
        None, description="most multiply-adds of a network, for one volume, forward"
    )

    def budget(self) -> Budget | None:
        """Return the limits as the space holds them, or None where there is no limit."""
        if self.parameters is None and self.multiply_adds is None:
            return None
        return Budget(parameters=self.parameters, multiply_adds=self.multiply_adds)


class MBConv3DSettings(BaseModel):
    """Parameters of `medpipe-mbconv3d`; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stem_channels: Channels = Field(32, description="output channels of the stem")
    channels: tuple[Channels, ...] = Field(
        PAPER_CHANNELS, min_length=1, description="output channels of each block"
    )
    depths: tuple[Depth, ...] = Field(
        (4, 4, 4, 4, 4, 1), min_length=1, description="normal layers of each block"
    )
    candidates: tuple[Candidate, ...] = Field(
        CANDIDATES,
        min_length=1,
        description="candidates of a normal layer: mbconv_k<kernel>_e<expansion>, or any "
        "registered block that keeps its channels",
    )
    grids: dict[str, dict[str, tuple[Plain, ...]]] = Field(
        {}, description="other values of a candidate's choices, such as grids.acme-conv.kernel=[5]"
    )
    fixed: dict[str, dict[str, Plain]] = Field(
        {}, description="parameters of a candidate that are not searched: fixed.acme-conv.groups=2"
    )
    residual: bool = Field(
        False, description="whether MBConv layers add their input to their output; the paper's not"
    )
    strides: tuple[Stride, ...] = Field(
        (1, 2), min_length=1, description="strides offered to the stem and the calibration layers"
    )
    budget: BudgetSettings = Field(
        BudgetSettings(), description="upper limits on the network (parameters, multiply_adds)"
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "stem_channels": 8,
            "channels": [8, 12, 16, 24, 32, 48],
            # One normal layer a block: a few minutes train seven layers better than twenty-eight.
            "depths": [1, 1, 1, 1, 1, 1],
            "residual": True,
            "budget.multiply_adds": 3_000_000,
        },
        "laptop": {
            "stem_channels": 16,
            "channels": [16, 24, 32, 48, 80, 160],
            "residual": True,
            "budget.multiply_adds": 40_000_000,
        },
    }

    @model_validator(mode="after")
    def _parameters_of_candidates(self) -> Self:
        for field in ("grids", "fixed"):
            for name in getattr(self, field):
                if name not in self.candidates or name in CANDIDATES:
                    others = [c for c in self.candidates if c not in CANDIDATES]
                    known = did_you_mean(name, others) or " Those of the paper take none."
                    raise ValueError(f"{field}: {name!r} is no candidate with parameters.{known}")
        return self

    @model_validator(mode="after")
    def _sizes_of_candidates(self) -> Self:
        for name in self.candidates:
            mbconv = re.fullmatch(_MBCONV, name)
            if mbconv is None:
                continue
            for what, most in (("kernel", _WIDEST_KERNEL), ("expansion", _MOST_EXPANSION)):
                digits = mbconv[what]
                if digits.startswith("0") or len(digits) > len(str(most)) or int(digits) > most:
                    raise ValueError(
                        f"candidates: {reprlib.repr(name)} has a {what} that is not in [1, {most}]"
                    )
        return self

    @model_validator(mode="after")
    def _one_depth_a_block(self) -> Self:
        if len(self.channels) != len(self.depths):
            raise ValueError(
                f"channels has {len(self.channels)} entries and depths {len(self.depths)}; "
                "give one of each for every block"
            )
        return self


class WideMBConv3DSettings(MBConv3DSettings):
    """Parameters of `medpipe-mbconv3d-wide`."""

    channels: tuple[Channels, ...] = Field(
        WIDE_CHANNELS, min_length=1, description="output channels of each block"
    )


def mbconv3d_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe the network space: 8²¹ · 2⁷ ≈ 1.2 × 10²¹ networks with the paper's settings.

    A block is a calibration layer, which carries the change of channels and a searchable stride,
    followed by its normal layers at stride 1.

    Args:
        operations: Who knows blocks beyond the paper's, such as a registry.
        settings: Fields of `MBConv3DSettings`.
    """
    return describe_network("medpipe-mbconv3d", operations, MBConv3DSettings(**settings))


def wide_mbconv3d_space(operations: Catalogue, **settings: Any) -> SearchSpace:
    """Describe the same space with channels 32, 64, 128, 256, 512, 1024 by default.

    Two model sizes in the paper's table VII exceed what its stated channels can give.

    Args:
        operations: Who knows blocks beyond the paper's, such as a registry.
        settings: Fields of `WideMBConv3DSettings`.
    """
    return describe_network("medpipe-mbconv3d-wide", operations, WideMBConv3DSettings(**settings))


def describe_network(name: str, operations: Catalogue, settings: MBConv3DSettings) -> SearchSpace:
    """Describe a network space of stem and blocks under a name of its own.

    Args:
        name: The space's name.
        operations: Who knows blocks beyond the paper's, such as a registry.
        settings: Widths, depths, candidates and the like.
    """
    # One description of each candidate serves all layers.
    normal = OperationChoice(
        {layer_key(key): _candidate(operations, key, settings) for key in settings.candidates}
    )
    parts: dict[str, Operation | Group] = {"stem": _convolution(settings, settings.stem_channels)}
    for number, (channels, depth) in enumerate(
        zip(settings.channels, settings.depths, strict=True), start=1
    ):
        layers = {f"layer{layer}": normal for layer in range(1, depth + 1)}
        parts[f"block{number}"] = Group({"calibration": _convolution(settings, channels), **layers})
    return SearchSpace(name, Group(parts), budget=settings.budget.budget())


def _convolution(settings: MBConv3DSettings, channels: int) -> Operation:
    return Operation(
        "block",
        "conv3d",
        {"channels": channels, "kernel": 3, "stride": ValueChoice(*settings.strides)},
    )


def _candidate(operations: Catalogue, key: str, settings: MBConv3DSettings) -> Operation:
    if key == "identity":  # told without importing the block, which would import torch
        return Operation("block", key)
    mbconv = re.fullmatch(_MBCONV, key)
    if mbconv is None:
        fixed = settings.fixed.get(key, {})
        layer = operation(operations, "block", key, offering=settings.grids.get(key, {}))
        refuse_searched(fixed, layer.choices, f"grids.{key}")
        return Operation("block", key, {**layer.parameters, **fixed})
    return Operation(
        "block",
        "mbconv3d",
        {
            "kernel": int(mbconv["kernel"]),
            "expansion": int(mbconv["expansion"]),
            "residual": settings.residual,
        },
    )
