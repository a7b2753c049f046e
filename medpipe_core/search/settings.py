"""Settings of the search and of the core's searchers; torch-free, for help and checking."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Lt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from medpipe_core.plugins import REGISTRY, ParameterError, Registered
from medpipe_core.search.registered_estimator import RegisteredEstimator

Decay = Annotated[float, Ge(0), Lt(1)]


class SearchSettings(BaseModel):
    """How long and how the search runs, whatever the searcher."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(50, ge=1, description="passes over the half that trains the weights")
    batch_size: int = Field(16, ge=2, description="volumes in a batch")
    weights_lr: float = Field(3e-4, gt=0, description="Adam's learning rate of the weights")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on the weights")
    grad_clip: float | None = Field(
        None, gt=0, description="largest norm of the weights' gradient; none by default"
    )
    candidates: int = Field(1, ge=1, description="genotypes scored at the end of every epoch")
    scores: Literal["shared", "trained"] = Field(
        "shared",
        description="what a candidate is scored by: the search's weights, or a training of its own",
    )
    trial_epochs: int = Field(
        10, ge=1, description="epochs of that training, which is otherwise as evaluate.* says"
    )
    objectives: tuple[Literal["score", "parameters", "multiply_adds"], ...] = Field(
        ("score",),
        description="score, and costs that are to be small; by several, a Pareto front is compared",
    )
    warmup_epochs: int = Field(
        0, ge=0, description="first epochs that train weights only and teach the searcher nothing"
    )
    recalibration_batches: int = Field(
        8, ge=1, description="batches that estimate a candidate's batch-norm statistics anew"
    )

    @field_validator("objectives")
    @classmethod
    def _score_first_and_each_once(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if objectives[:1] != ("score",):
            raise ValueError("score must be the first: it decides which candidate is retrained")
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is given twice")
        return objectives


class GumbelSettings(BaseModel):
    """Settings of `gumbel`; the defaults are the paper's, but for the estimator."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # Adam moves a logit by at most about lr a step: fewer steps need longer ones to get as far.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "quick": MappingProxyType({"lr": 0.05}),
            "laptop": MappingProxyType({"lr": 0.05}),
            "paper": MappingProxyType({"estimator": "gate"}),
        }
    )

    lr: float = Field(1e-3, gt=0, description="Adam's learning rate of the logits")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's decay rates")
    temperature: float = Field(1.0, gt=0, description="softmax temperature at the first step")
    temperature_end: float | None = Field(
        None, gt=0, description="temperature at the last step; constant by default"
    )
    schedule: Literal["linear", "exponential"] = Field(
        "exponential", description="how the temperature goes from first to last"
    )
    # A default is checked too: it has to know the registry that makes it.
    estimator: Annotated[
        str, Registered("estimator"), AfterValidator(RegisteredEstimator.found)
    ] = Field(
        "look-ahead",
        validate_default=True,
        description="what the logits learn from, as `medpipe list estimator`; gate is the paper's",
    )
    estimator_parameters: dict[str, Any] = Field(
        {}, validate_default=True, description="parameters of that estimator"
    )

    @field_validator("estimator_parameters")
    @classmethod
    def _fitting_the_estimator(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        registry = (info.context or {}).get(REGISTRY)
        if registry is not None and "estimator" in info.data:
            entry = registry.entry("estimator", info.data["estimator"])
            try:
                entry.arguments(given, {REGISTRY: registry})
            except ParameterError as error:
                raise ValueError(str(error)) from None
        return given


class EstimatorSettings(BaseModel):
    """Settings of each of the core's estimators: none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DecoupledSettings(GumbelSettings):
    """Settings of `decoupled`: those of `gumbel`, and how its first stage goes."""

    # Pydantic before 2.10 keeps every name that begins with `model_` for itself.
    model_config = ConfigDict(protected_namespaces=())

    first: str = Field(
        "augment", min_length=1, description="part of the space that the first stage learns"
    )
    first_share: float = Field(0.5, gt=0, lt=1, description="share of the steps it has")
    # A default is checked too: the plugin that has it may be disabled.
    model: Annotated[str, Registered("model")] = Field(
        "resnet18-2.5d", validate_default=True, description="the fixed network that it trains"
    )
    model_parameters: dict[str, Any] = Field(
        {}, validate_default=True, description="parameters of that network, such as {width: 8}"
    )

    @field_validator("model_parameters")
    @classmethod
    def _fitting_the_model(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        registry = (info.context or {}).get(REGISTRY)
        if registry is not None and "model" in info.data:
            try:
                registry.model_arguments(info.data["model"], given)
            except ParameterError as error:
                raise ValueError(str(error)) from None
        return given


class RandomSettings(BaseModel):
    """Settings of `random`: none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FixedSettings(BaseModel):
    """Settings of `fixed`: the genotype."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    genotype: str | None = Field(
        None, min_length=1, description="a genotype.json, or the folder of a run that has one"
    )
    choices: dict[str, bool | int | float | str] = Field(
        {}, description="choices by path or pattern, before the file's: {'augment/*/p': 0.5}"
    )

    @model_validator(mode="after")
    def _something_is_given(self) -> Self:
        if self.genotype is None and not self.choices:
            raise ValueError("give searcher.genotype=FILE, searcher.choices={PATH: KEY}, or both")
        return self


class EvolutionSettings(BaseModel):
    """Settings of `evolution`; sizes are for searches that score tens of candidates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    population: int = Field(10, ge=2, description="members alive; the first ones are drawn")
    sample: int = Field(5, ge=1, description="members of a tournament; at most the population")
    mutations: int = Field(1, ge=1, description="choices that a child changes")
    crossover: float = Field(0.0, ge=0, le=1, description="probability of a second parent")
    paths: Literal["uniform", "population"] = Field(
        "uniform", description="where the steps that train the weights take their paths from"
    )

    @model_validator(mode="after")
    def _tournament_within_the_population(self) -> Self:
        if self.sample > self.population:
            raise ValueError(f"sample={self.sample} is above population={self.population}")
        return self


class OptunaSettings(BaseModel):
    """Settings of `optuna`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sampler: Literal["tpe", "random", "gp", "nsgaii", "qmc"] = Field(
        "tpe", description="Optuna's sampler"
    )
    startup: int = Field(
        10, ge=2, description="trials before tpe and gp learn; the population of nsgaii"
    )
