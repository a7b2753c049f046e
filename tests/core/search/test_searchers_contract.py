"""The core's own searchers hold to what every searcher promises."""

from __future__ import annotations

import importlib.util

import pytest

from medpipe_core.search import GumbelSearcher, RandomSearcher
from medpipe_core.testing import SearcherContract, toy_spaces
from medpipe_core.testing.toys import ToySpace, large_space


class TestRandom(SearcherContract):
    searcher = RandomSearcher


class TestHalving(SearcherContract):
    searcher = "medpipe_core.search:HalvingSearcher"
    parameters = {"prior_active": 1.0}
    most_choices = 0


class TestPopulation(SearcherContract):
    searcher = "medpipe_core.search:PopulationSearcher"
    spaces = tuple(toy for toy in toy_spaces() if toy.space.name == "toy-operations") * 2
    most_choices = 0


class TestPopulationsSchedule(TestPopulation):
    parameters = {"answer": "schedule"}


class TestGumbel(SearcherContract):
    searcher = GumbelSearcher
    parameters = {"lr": 0.3}
    most_choices = 4000


class TestGumbelAnnealed(SearcherContract):
    searcher = GumbelSearcher
    parameters = {"temperature_end": 0.1}
    spaces = toy_spaces()[:3]
    most_choices = 0


class TestDecoupled(SearcherContract):
    searcher = "medpipe_core.search:DecoupledSearcher"
    parameters = {"first": "a", "lr": 0.3}
    spaces = tuple(toy for toy in toy_spaces() if "a" in toy.space.choices)
    most_choices = 0


class TestDecoupledOnAugmentation(SearcherContract):
    searcher = "medpipe_core.search:DecoupledSearcher"
    parameters = {"first_share": 0.3, "temperature_end": 0.1}
    spaces = tuple(toy for toy in toy_spaces() if toy.space.name == "toy-operations") * 2
    most_choices = 0


class TestDecoupledOnConditions(SearcherContract):
    searcher = "medpipe_core.search:DecoupledSearcher"
    parameters = {"first": "method", "lr": 0.3}
    spaces = tuple(toy for toy in toy_spaces() if toy.space.name == "toy-conditional") * 2
    most_choices = 0


class TestDecoupledOnManyChoices(SearcherContract):
    searcher = "medpipe_core.search:DecoupledSearcher"
    parameters = {"first": "choice1"}
    spaces = (ToySpace(large_space(4)), ToySpace(large_space(20)))
    most_choices = 4000


class TestEvolution(SearcherContract):
    searcher = "medpipe_core.search:EvolutionSearcher"
    parameters = {"population": 4, "sample": 2, "crossover": 0.5}
    most_choices = 4000


needs_optuna = pytest.mark.skipif(
    not importlib.util.find_spec("optuna"), reason="optuna is an extra"
)


@needs_optuna
class TestOptuna(SearcherContract):
    searcher = "medpipe_core.search:OptunaSearcher"
    parameters = {"startup": 2}
    # It asks a sampler again for each proposal that was there before: the rest is slow.
    spaces = tuple(
        toy for toy in toy_spaces() if toy.space.name in ("toy-conditional", "toy-budget")
    )
    steps = 12
    most_choices = 0  # a proposal takes TPE about a third of a millisecond a choice


@pytest.mark.slow
@needs_optuna
class TestOptunaOnAllSpaces(SearcherContract):
    searcher = "medpipe_core.search:OptunaSearcher"
    parameters = {"startup": 2}
    most_choices = 0
