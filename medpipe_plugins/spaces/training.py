"""How a network is trained, as a space: a third part beside augmentation and network."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel, ConfigDict, Field

from medpipe_core import Group, SearchSpace, ValueChoice

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0)]
Smoothing = Annotated[float, Ge(0), Lt(1)]


class TrainingSettings(BaseModel):
    """Parameters of `medpipe-training`: the values to choose from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: tuple[Rate, ...] = Field(
        (1e-3, 3e-3, 1e-2), min_length=1, description="Adam's first learning rates"
    )
    weight_decay: tuple[Decay, ...] = Field(
        (0.0, 0.01, 0.1), min_length=1, description="decoupled weight decays"
    )
    label_smoothing: tuple[Smoothing, ...] = Field(
        (0.0, 0.1), min_length=1, description="shares spread over all classes"
    )


def training_space(**settings: Any) -> SearchSpace:
    """Describe settings of training; composed as the part `training`, they apply to a candidate.

    Args:
        settings: Fields of `TrainingSettings`.
    """
    values = dict(TrainingSettings(**settings))
    return SearchSpace(
        "medpipe-training", Group({name: ValueChoice(*values[name]) for name in values})
    )
