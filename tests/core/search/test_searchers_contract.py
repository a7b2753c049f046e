"""The core's own searchers hold to what every searcher promises."""

from __future__ import annotations

from medpipe_core.search import GumbelSearcher, RandomSearcher
from medpipe_core.testing import SearcherContract, toy_spaces


class TestRandom(SearcherContract):
    searcher = RandomSearcher


class TestGumbel(SearcherContract):
    searcher = GumbelSearcher
    parameters = {"lr": 0.3}
    most_choices = 4000


class TestGumbelAnnealed(SearcherContract):
    searcher = GumbelSearcher
    parameters = {"temperature_end": 0.1}
    spaces = toy_spaces()[:3]
    most_choices = 0
