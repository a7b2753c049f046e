"""Parameters of the fixed networks; torch-free, for help and checking."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ResNetSettings(BaseModel):
    """Parameters of the ResNets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(64, ge=3, description="channels of the stem; the last stage has 8 times it")
