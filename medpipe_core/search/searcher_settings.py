"""Settings of the core's searchers and estimators; torch-free, for help and checking."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Le, Lt
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from medpipe_core.plugins import REGISTRY, ParameterError, Registered
from medpipe_core.search.registered_estimator import RegisteredEstimator
from medpipe_core.search.settings import Count, Positive, Rate, Several, Strict

if TYPE_CHECKING:
    from medpipe_core.space import SearchSpace

Decay = Annotated[float, Ge(0), Lt(1)]
Prior = Annotated[
    float,
    Ge(0),
    Le(10),
    Field(
        description="logarithm of the factor by which augmentations are likelier to act at first"
    ),
]
Known = Annotated[
    Literal["space"] | tuple[str | dict[str, bool | int | float | str], ...],
    Field(
        description="proposed before anything else: names of what the space knows, paths as of "
        "searcher.genotype, or choices by path or pattern, of which the open ones are drawn; space "
        "for all that the space knows"
    ),
]


class KnownSettings(Strict):
    """What searchers have in common that are told of genotypes."""

    known: Known = ()

    def check_space(self, space: SearchSpace, *, seed: int) -> None:
        """Refuse what cannot be read, or names what the space has not.

        Raises:
            FixedGenotypeError: Of `searcher.known`.
        """
        from medpipe_core.search.given import read_known

        read_known(space, self.known, seed)


class GumbelSettings(Strict):
    """Settings of `gumbel`; the defaults are the paper's, but for the estimator."""

    # Adam moves a logit by at most about lr a step: fewer steps need longer ones to get as far.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "quick": MappingProxyType({"lr": 0.05, "estimator": "orbit"}),
            "laptop": MappingProxyType({"lr": 0.05}),
            "paper": MappingProxyType({"estimator": "gate"}),
        }
    )
    # Two epochs of plain volumes, then every operation has its turn some thirty times. Trainings as
    # short as eight epochs rank what is sampled then hardly better than chance, so nothing is
    # compared.
    run_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "quick": MappingProxyType(
                {
                    "search.epochs": 8,
                    "search.min_steps": 170,
                    "search.warmup_epochs": 2,
                    "search.warmup": "plain",
                    "search.candidates": 1,
                    "evaluate.top_k": 1,
                }
            )
        }
    )

    lr: Rate = Field(1e-3, description="Adam's learning rate of the logits")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's decay rates")
    temperature: Positive = Field(1.0, description="softmax temperature at the first step")
    temperature_end: Positive | None = Field(
        None, description="temperature at the last step; constant by default"
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
    prior_active: Prior = 0.0

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


class EstimatorSettings(Strict):
    """Settings of most of the core's estimators: none."""


class OrbitSettings(EstimatorSettings):
    """Settings of the estimator `orbit`."""

    changes: tuple[str, ...] | None = Field(
        None,
        description="operations that declare these changes and no others are averaged over; null "
        "for all that declare any",
    )
    tolerance: float = Field(
        0.5, ge=0, le=1, description="share of what is known that acting may cost, yet be preferred"
    )
    weight: float = Field(
        10.0, gt=0, le=1e6, description="what a nat counts, in deviations of the look-ahead"
    )


class DecoupledSettings(GumbelSettings):
    """Settings of `decoupled`: those of `gumbel`, and how its first stage goes."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            **GumbelSettings.presets,
            "quick": MappingProxyType({"lr": 0.05, "prior_active": 1.0}),
        }
    )
    run_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})

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


class RandomSettings(KnownSettings):
    """Settings of `random`."""

    prior_active: Prior = 0.0


class HalvingSettings(RandomSettings):
    """Settings of `halving`: those of `random`, and keys of the run that suit it."""

    run_keys: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "search.scores": "trained",
            "search.epochs": 1,
            "search.candidates": 17,
            "search.rungs": 3,
            "search.brackets": 3,
            "evaluate.top_k": 1,
            "evaluate.inherit": False,
        }
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {"laptop": MappingProxyType({"prior_active": 2.0, "known": "space"})}
    )
    # Eight trainings of a few minutes, the better four twice as long; most of the time goes into
    # the last one, which long trainings of the winner favoured on volumes held back.
    run_presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "laptop": MappingProxyType(
                {
                    "search.candidates": 8,
                    "search.rungs": 2,
                    "search.reduction": 2,
                    "search.brackets": 1,
                    "search.trial_epochs": 20,
                    "evaluate.batch_size": 32,
                    "evaluate.average": 0.99,
                    "retrain.batch_size": 32,
                    "retrain.epochs": 150,
                    "test.average": "symmetries",
                }
            )
        }
    )


class PopulationSettings(KnownSettings):
    """Settings of `population`, and keys of the run that suit it."""

    run_keys: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "search.scores": "trained",
            "search.candidates": 8,
            "evaluate.top_k": 1,
            "evaluate.inherit": False,
        }
    )

    part: str = Field("augment", min_length=1, description="part of the space that is perturbed")
    mutations: Count = Field(3, description="choices that a perturbation changes")
    resample: float = Field(
        0.2, ge=0, le=1, description="probability of any other value, not one beside it"
    )
    prior_active: Prior = 0.0
    answer: Literal["policy", "schedule"] = Field(
        "policy", description="what is retrained: the last policy, or those of its lineage in turn"
    )


class FixedSettings(Strict):
    """Settings of `fixed`: the genotype."""

    genotype: str | None = Field(
        None,
        min_length=1,
        description="a genotype.json or a run's folder; {seed} in it is the run's seed, * any text",
    )
    choices: dict[str, bool | int | float | str] = Field(
        {}, description="choices by path or pattern, before the file's: {'augment/*/p': 0.5}"
    )
    schedule: str | None = Field(
        None, min_length=1, description="a schedule.json in place of a genotype; as that"
    )
    known: str | None = Field(
        None,
        min_length=1,
        description="name of what the space knows, before the file's and after the choices",
    )

    @model_validator(mode="after")
    def _something_is_given(self) -> Self:
        if self.genotype is not None and self.schedule is not None:
            raise ValueError("give searcher.genotype or searcher.schedule, not both")
        if not (self.genotype or self.schedule or self.choices or self.known):
            raise ValueError("give searcher.genotype=FILE, searcher.choices={PATH: KEY}, or both")
        return self

    def check_space(self, space: SearchSpace, *, seed: int) -> None:
        """Refuse what cannot be read, or is no genotype of the space.

        Raises:
            FixedGenotypeError: Of `searcher.genotype`, `searcher.choices` or `searcher.known`.
            ScheduleError: Of `searcher.schedule`.
        """
        from medpipe_core.search.fixed import given_genotypes

        given_genotypes(space, seed, self.genotype, self.choices, self.schedule, self.known)


class EvolutionSettings(KnownSettings):
    """Settings of `evolution`; sizes are for searches that score tens of candidates."""

    population: Several = Field(10, description="members alive; the first ones are drawn")
    sample: Count = Field(5, description="members of a tournament; at most the population")
    mutations: Count = Field(1, description="choices that a child changes")
    crossover: float = Field(0.0, ge=0, le=1, description="probability of a second parent")
    prior_active: Prior = 0.0
    paths: Literal["uniform", "population"] = Field(
        "uniform", description="where the steps that train the weights take their paths from"
    )

    @model_validator(mode="after")
    def _tournament_within_the_population(self) -> Self:
        if self.sample > self.population:
            raise ValueError(f"sample={self.sample} is above population={self.population}")
        return self


class OptunaSettings(KnownSettings):
    """Settings of `optuna`."""

    sampler: Literal["tpe", "random", "gp", "nsgaii", "qmc"] = Field(
        "tpe", description="Optuna's sampler"
    )
    startup: Several = Field(
        10, description="trials before tpe and gp learn; the population of nsgaii"
    )
    prior_active: Prior = 0.0
