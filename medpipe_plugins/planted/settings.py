"""Parameters of the planted problems and their operations; free of numpy, for help and checking."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Ge(4), Le(1_000_000)]


class PlantedSettings(BaseModel):
    """Parameters of the planted datasets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, Ge(12), Le(64)] = Field(12, description="edge length, in voxels")
    train: Count = Field(256, description="volumes in the training set")
    validation: Count = Field(64, description="volumes in the validation set")
    test: Count = Field(400, description="volumes in the test set")
    noise: Annotated[float, Ge(0), Le(1)] = Field(
        0.1, description="standard deviation of the noise, in units of the intensity range"
    )
    seed: Annotated[int, Ge(0)] = Field(0, description="seed of the volumes, not of the run")


class SymmetrySettings(PlantedSettings):
    """Parameters of `planted-symmetry`: few training volumes, little noise."""

    train: Count = Field(128, description="volumes in the training set")
    noise: float = Field(0.05, ge=0, le=1, description="standard deviation of the noise")


class MixedSettings(SymmetrySettings):
    """Parameters of `planted-mixed`: few training volumes, little noise."""

    train: Count = Field(160, description="volumes in the training set")


class TurnSettings(SymmetrySettings):
    """Parameters of `planted-turn`: few training volumes, little noise."""

    train: Count = Field(64, description="volumes in the training set")


class ReachSettings(PlantedSettings):
    """Parameters of `planted-reach`: little noise, many volumes."""

    train: Count = Field(1600, description="volumes in the training set")
    noise: float = Field(0.05, ge=0, le=1, description="standard deviation of the noise")


class TextureSettings(PlantedSettings):
    """Parameters of `planted-texture`: many volumes."""

    train: Count = Field(1600, description="volumes in the training set")


class SynergySettings(PlantedSettings):
    """Parameters of `planted-synergy`."""

    reliable: Annotated[float, Ge(0.5), Le(1)] = Field(
        0.8, description="share of volumes whose texture tells the class"
    )


class ExchangeSettings(BaseModel):
    """Parameters of `planted-exchange`: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlaneSettings(BaseModel):
    """Parameters of `planted-plane`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Annotated[int, Ge(1)] = Field(description="channels that go out")
    kernel: Annotated[int, Ge(1)] = Field(
        3, description="odd edge length of the kernel in height and width, in voxels"
    )
