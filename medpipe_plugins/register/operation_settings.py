"""Parameters of augmentations and blocks; free of torch, for help and checking.

They say what the constructors' signatures say, which cannot be read without importing torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Ge(1)]
Normalisation = Literal["batch", "instance"]
_NORMALISATION = "over the volumes of a batch, or of each volume alone"


class NoSettings(BaseModel):
    """Of an operation whose parameters are all searchable, or that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoiseSettings(NoSettings):
    """Of `noise`."""

    std: Annotated[float, Ge(0)] = Field(0.05, description="standard deviation of the noise")


class BlurSettings(NoSettings):
    """Of `blur`."""

    sigma: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = Field(
        (0.1, 2.0), description="least and largest standard deviation, in voxels"
    )


class TrivialSettings(NoSettings):
    """Of `trivial_augment`."""

    forbid: tuple[str, ...] = Field((), description="what it must not change, such as [side]")


class Conv3DSettings(NoSettings):
    """Of `conv3d`."""

    channels: Positive = Field(description="channels that go out")
    kernel: Positive = Field(3, description="odd edge length of the kernel, in voxels")
    stride: Positive = Field(1, description="step of the kernel, in voxels")
    normalisation: Normalisation = Field("batch", description=_NORMALISATION)


class ResidualConv3DSettings(NoSettings):
    """Of `residual-conv3d`."""

    kernel: Positive = Field(3, description="odd edge length of the kernel, in voxels")
    normalisation: Normalisation = Field("batch", description=_NORMALISATION)


class MBConv3DBlockSettings(NoSettings):
    """Of `mbconv3d`."""

    kernel: Positive = Field(description="odd edge length of the kernel, in voxels")
    expansion: Positive = Field(description="ratio of inner to incoming channels")
    channels: Positive | None = Field(
        None, description="channels that go out; null for as many as come in"
    )
    stride: Positive = Field(1, description="step of the kernel, in voxels")
    residual: bool = Field(False, description="add the input to the output where shapes agree")
