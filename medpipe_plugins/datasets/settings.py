"""Parameters of the datasets; free of numpy, for help and checking."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field

PUBLISHED_AT = "https://zenodo.org/records/10519652/files"
Count = Annotated[int, Ge(6), Le(1_000_000)]


class MedMNISTSettings(BaseModel):
    """Parameters of the MedMNIST3D datasets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Literal[28, 64] = Field(28, description="edge length of the published volumes, in voxels")
    root: str | None = Field(
        None, description="folder of the npz files; $MEDPIPE_DATA or ./data by default"
    )
    download: bool = Field(False, description="fetch the file if it is missing")
    strict: bool = Field(False, description="refuse blank training volumes, not leave them out")
    url: str = Field(PUBLISHED_AT, pattern="^https?://", description="where files are fetched from")


class PhantomSettings(BaseModel):
    """Parameters of `phantom3d`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, Ge(8), Le(256)] = Field(20, description="edge length, in voxels")
    train: Count = Field(720, description="volumes in the training set")
    validation: Count = Field(120, description="volumes in the validation set")
    test: Count = Field(200, description="volumes in the test set")
    overlap: Annotated[float, Gt(0), Le(3)] = Field(
        0.3, description="standard deviation of the latent elongation within a class"
    )
    noise: Annotated[float, Ge(0), Le(1)] = Field(
        0.05, description="standard deviation of the noise, in units of the intensity range"
    )
    seed: Annotated[int, Ge(0)] = Field(0, description="seed of the volumes, not of the run")
