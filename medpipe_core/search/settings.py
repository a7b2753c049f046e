"""Settings of the search, whatever the searcher; torch-free, for help and checking."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

Share = Annotated[float, Gt(0), Le(1)]
Least = Annotated[
    int,
    Ge(0),
    Le(10**9),
    Field(
        description="steps; where volumes are few there are more epochs, until there are so many"
    ),
]
Count = Annotated[int, Ge(1), Le(1_000_000)]
Several = Annotated[int, Ge(2), Le(1_000_000)]
Rate = Annotated[float, Gt(0), Le(100)]
Positive = Annotated[float, Gt(0), Le(1e6)]


class Strict(BaseModel):
    """Settings that refuse what they do not know, and stay as they were checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SearchSettings(Strict):
    """How long and how the search runs, whatever the searcher."""

    epochs: Count = Field(50, description="passes over the half that trains the weights")
    hours: float | None = Field(
        None,
        gt=0,
        le=1e5,
        description="in place of epochs: hours that search, evaluation and retraining may take",
    )
    trials: Count | None = Field(
        None, description="in place of epochs: trainings that score candidates, in all"
    )
    steps: int | None = Field(
        None, ge=1, le=10**9, description="in place of epochs: steps that train the weights, in all"
    )
    stop_after: Count | None = Field(
        None, description="epochs after which the search ends, though planned for more"
    )
    min_steps: Least = 0
    batch_size: Several = Field(16, description="volumes in a batch")
    weights_lr: Rate = Field(3e-4, description="Adam's learning rate of the weights")
    weight_decay: float = Field(0.0, ge=0, le=100, description="L2 penalty on the weights")
    grad_clip: Positive | None = Field(
        None, description="largest norm of the weights' gradient; none by default"
    )
    edge: Share | tuple[Share, Share, Share] = Field(
        1.0, description="edge lengths of volumes in the steps of weights, as shares: one, or three"
    )
    candidates: Count = Field(1, description="genotypes scored at the end of every epoch")
    scores: Literal["shared", "trained"] = Field(
        "shared",
        description="what a candidate is scored by: the search's weights, or a training of its own",
    )
    trial_epochs: Count = Field(
        10, description="epochs of that training, which is otherwise as evaluate.* says"
    )
    trial_volumes: Share = Field(
        1.0, description="share of the volumes that it trains on, stratified by class"
    )
    trial_edge: Share = Field(1.0, description="edge length of its volumes, as a share")
    trial_width: Share = Field(1.0, description="width of its network, as a share")
    rungs: int = Field(
        1, ge=1, le=30, description="rounds of the race that its candidates are scored by"
    )
    reduction: int = Field(
        3, ge=2, le=1000, description="of so many one goes on to the next round of that race"
    )
    rises: tuple[Literal["epochs", "volumes", "edge", "width"], ...] = Field(
        ("epochs",),
        min_length=1,
        description="what grows from round to round so that it costs `reduction` times as much",
    )
    brackets: int = Field(
        1,
        ge=1,
        le=30,
        description="races that begin a round later each, as many as `rungs` at most; Hyperband "
        "has all of these",
    )
    objectives: tuple[Literal["score", "parameters", "multiply_adds"], ...] = Field(
        ("score",),
        description="score, and costs that are to be small; by several, a Pareto front is compared",
    )
    warmup_epochs: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="first epochs that train weights only and teach the searcher nothing; all but "
        "the last at most",
    )
    warmup: Literal["sampled", "plain"] = Field(
        "sampled",
        description="augmented in these epochs as sampled, or not at all, so that weights overfit",
    )
    recalibration_batches: Count = Field(
        8, description="batches that estimate a candidate's batch-norm statistics anew"
    )

    @field_validator("warmup_epochs")
    @classmethod
    def _fewer_than_there_are(cls, warmup_epochs: int, info: ValidationInfo) -> int:
        epochs: int = info.data.get("epochs", warmup_epochs + 1)  # not there where it was refused
        return min(warmup_epochs, epochs - 1)

    @field_validator("brackets")
    @classmethod
    def _no_more_than_rounds(cls, brackets: int, info: ValidationInfo) -> int:
        rungs: int = info.data.get("rungs", brackets)  # not there where it was refused
        return min(brackets, rungs)

    @field_validator("objectives")
    @classmethod
    def _score_first_and_each_once(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if objectives[:1] != ("score",):
            raise ValueError("score must be the first: it decides which candidate is retrained")
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is given twice")
        return objectives

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [name for name in ("hours", "trials", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are each a budget of their own; give one")
        if self.trials is not None and self.scores != "trained":
            raise ValueError(
                f"trials={self.trials} counts trainings that score candidates; give "
                "scores=trained, or hours or steps"
            )
        return self

    @model_validator(mode="after")
    def _a_race_that_can_be_run(self) -> Self:
        if self.rungs == 1:
            return self
        if self.scores != "trained":
            raise ValueError(f"rungs={self.rungs} is a race of trainings; give scores=trained")
        if self.candidates == 1:
            raise ValueError(f"rungs={self.rungs} with candidates=1: there is nobody to race")
        if len(self.objectives) > 1:
            raise ValueError(
                f"rungs={self.rungs} races by the score alone; give objectives=[score], or rungs=1"
            )
        levels = self.levels()
        same = next((k for k in range(1, self.rungs) if levels[k] == levels[k - 1]), None)
        if same is not None:
            raise ValueError(
                f"round {same + 1} of the race would be as round {same}: {', '.join(self.rises)} "
                "cannot grow any more; begin with less, let epochs rise, or give fewer rungs"
            )
        return self

    def levels(self) -> list[dict[str, Any]]:
        """Return how much of a training each round is: epochs, volumes, edge and width.

        What rises does so by the factor that multiplies the cost by `reduction`: the edge's third
        power and the width's square count. Shares end at 1.
        """
        powers = {"epochs": 1.0, "volumes": 1.0, "edge": 1 / 3, "width": 1 / 2}

        def at(name: str, first: float, level: int) -> float:
            growth = level * powers[name] if name in self.rises else 0.0
            return float(first * float(self.reduction) ** growth)

        return [
            {
                "epochs": round(at("epochs", self.trial_epochs, level)),
                "volumes": min(at("volumes", self.trial_volumes, level), 1.0),
                "edge": min(at("edge", self.trial_edge, level), 1.0),
                "width": min(at("width", self.trial_width, level), 1.0),
            }
            for level in range(self.rungs)
        ]
