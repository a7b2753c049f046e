from __future__ import annotations

import pytest

from medpipe_core import Decision, Searcher
from medpipe_core.search import BudgetError


class Greedy(Searcher):
    """As little as a searcher can be."""

    def decide(self, step):
        return Decision(self.admitted(lambda: self.space.sample(seed=step)))

    def observe(self, outcome):
        pass

    def best(self):
        return self.space.sample(seed=1)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_a_searcher_proposes_its_best_unless_it_says_otherwise(space):
    searcher = Greedy(space, seed=0, steps=1)
    assert searcher.propose(3) == [searcher.best()]
    assert searcher.needs == frozenset()
    assert searcher.insight() == {}


def test_a_budget_is_honoured_by_drawing_again(space):
    drawn = iter(map(space.unrank, range(5)))
    searcher = Greedy(space, seed=0, steps=1, admit=lambda genotype: space.rank(genotype) >= 3)
    assert space.rank(searcher.admitted(lambda: next(drawn))) == 3


def test_a_hopeless_budget_says_how_many_were_refused(space):
    searcher = Greedy(space, seed=0, steps=1, admit=lambda genotype: False)
    with pytest.raises(BudgetError, match="none of 2000 genotypes"):
        searcher.decide(0)
