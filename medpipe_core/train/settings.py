"""Settings of training a plain network; torch-free, for help and checking."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RankBy = Literal["accuracy", "balanced_accuracy", "auc"]


class FitSettings(BaseModel):
    """How a network is trained: Adam with cosine annealing to zero (paper, section IV-C)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(200, ge=0, le=1_000_000, description="passes over the training volumes")
    batch_size: int = Field(16, ge=2, le=100_000, description="volumes in a batch")
    lr: float = Field(1e-3, gt=0, le=10, description="Adam's first learning rate")
    weight_decay: float = Field(0.0, ge=0, le=10, description="decoupled weight decay (AdamW)")
    grad_clip: float | None = Field(
        None, gt=0, le=1e6, description="largest norm of the gradient; none by default"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share spread over all classes")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced makes rare classes count as much as common ones in the loss"
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="decay of the running average of weights; 0 for none"
    )
    validate_every: int = Field(
        1, ge=1, le=1_000_000, description="epochs between two looks at the validation volumes"
    )
    rank_by: RankBy = Field(
        "accuracy", description="the validation figure that ranks; auc tells rare classes apart"
    )
    select: Literal["last", "best"] = Field(
        "last",
        description="which epoch's weights count; the best one's validation figures are too good",
    )
