"""Settings that help and checking can read without importing torch."""

from typing import Annotated

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict, Field


class HillClimbSettings(BaseModel):
    """Parameters of `acme-climb`."""

    model_config = ConfigDict(extra="forbid")

    changes: Annotated[int, Ge(1)] = Field(2, description="choices changed at a time, at most")


class BalancedSettings(BaseModel):
    """Parameters of `acme-balanced`."""

    model_config = ConfigDict(extra="forbid")

    temperature: Annotated[float, Gt(0)] = Field(1.0, description="the logits are divided by it")
