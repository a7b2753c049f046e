"""The core's own searchers and estimators, registered as anybody's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.plugins import hookimpl
from medpipe_core.search.registered_estimator import CORE, KIND

if TYPE_CHECKING:
    from medpipe_core.plugins import Registrar

_ESTIMATORS = {
    "look-ahead": "how much a step of the weights lowers the loss of clean volumes",
    "agreement": "cosine of the gradients of training and of clean volumes",
    "score": "loss of validation volumes that are augmented as well",
    "orbit": "predictions averaged over operations, and the look-ahead",
    "gate": "the gradient that reaches the paper's gates, equations 3 and 4",
}
_PLAIN = "medpipe_core.search.searcher_settings:EstimatorSettings"
_SETTINGS = {"orbit": "medpipe_core.search.searcher_settings:OrbitSettings"}


@hookimpl
def medpipe_register(registry: Registrar) -> None:
    """Register the core's searchers and estimators."""
    registry.register(
        "searcher",
        "gumbel",
        "medpipe_core.search.gumbel:GumbelSearcher",
        parameters="medpipe_core.search.searcher_settings:GumbelSettings",
        summary="single path by Gumbel-softmax with straight-through, as the paper",
    )
    registry.register(
        "searcher",
        "decoupled",
        "medpipe_core.search.decoupled:DecoupledSearcher",
        parameters="medpipe_core.search.searcher_settings:DecoupledSettings",
        summary="augmentation on a fixed network first, then the network",
    )
    registry.register(
        "searcher",
        "random",
        "medpipe_core.search.random_search:RandomSearcher",
        parameters="medpipe_core.search.searcher_settings:RandomSettings",
        summary="uniform over the space, without repeats",
    )
    registry.register(
        "searcher",
        "halving",
        "medpipe_core.search.halving:HalvingSearcher",
        parameters="medpipe_core.search.searcher_settings:HalvingSettings",
        summary="successive halving, or Hyperband: races of trainings, random proposals",
    )
    registry.register(
        "searcher",
        "population",
        "medpipe_core.search.population:PopulationSearcher",
        parameters="medpipe_core.search.searcher_settings:PopulationSettings",
        summary="population-based augmentation: the worse half copies the better and perturbs it",
    )
    registry.register(
        "searcher",
        "fixed",
        "medpipe_core.search.fixed:FixedSearcher",
        parameters="medpipe_core.search.searcher_settings:FixedSettings",
        summary="no search: trains and tests a genotype that is given",
    )
    registry.register(
        "searcher",
        "evolution",
        "medpipe_core.search.evolution:EvolutionSearcher",
        parameters="medpipe_core.search.searcher_settings:EvolutionSettings",
        summary="ageing evolution: mutates the best of a few, the oldest dies",
    )
    registry.register(
        "searcher",
        "optuna",
        "medpipe_core.search.optuna_search:OptunaSearcher",
        parameters="medpipe_core.search.searcher_settings:OptunaSettings",
        summary="a sampler of Optuna, by default TPE; needs the extra medpipe[optuna]",
    )
    for name, summary in _ESTIMATORS.items():
        registry.register(
            KIND,
            name,
            CORE[name],
            parameters=_SETTINGS.get(
                name, "medpipe_core.search.searcher_settings:EstimatorSettings"
            ),
            summary=summary,
        )
