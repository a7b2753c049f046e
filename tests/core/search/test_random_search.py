from __future__ import annotations

from collections import Counter

import pytest

from medpipe_core import Group, Outcome, SearchSpace, ValueChoice, load_plugins
from medpipe_core.search import BudgetError, RandomSearcher


@pytest.fixture
def small():
    return SearchSpace("small", Group({"a": ValueChoice(*range(6)), "b": ValueChoice(*range(5))}))


def test_every_member_is_proposed_once_and_then_none(small):
    searcher = RandomSearcher(small, seed=0, steps=1)
    proposed = [genotype for _ in range(10) for genotype in searcher.propose(4)]
    assert sorted(map(small.rank, proposed)) == list(range(30))
    assert searcher.propose(4) == []


def test_members_that_do_the_same_count_as_one(space):
    searcher = RandomSearcher(space, seed=0, steps=1)
    proposed = searcher.propose(100)
    assert len(proposed) == space.distinct_size() < space.size()
    assert len({space.canonical(genotype) for genotype in proposed}) == len(proposed)


def test_decisions_are_uniform_over_the_members(small):
    searcher = RandomSearcher(small, seed=0, steps=1)
    drawn = Counter(searcher.decide(step).genotype for step in range(6000))
    assert len(drawn) == 30
    assert all(abs(count - 200) < 70 for count in drawn.values())  # five standard errors


def test_the_best_is_the_best_scored_and_of_equals_the_first(small):
    searcher = RandomSearcher(small, seed=0, steps=1)
    members = [small.unrank(rank) for rank in range(4)]
    for genotype, score in zip(members, (0.1, 0.7, 0.7, 0.3), strict=True):
        searcher.observe(Outcome(genotype, 0, score=score))
    searcher.observe(Outcome(small.unrank(9), 1, train_loss=0.0))
    assert searcher.best() == members[1]


def test_the_budget_holds_for_decisions_proposals_and_best(small):
    def admit(genotype):
        return genotype["a"] == "3"

    searcher = RandomSearcher(small, seed=0, steps=1, admit=admit)
    assert all(admit(searcher.decide(step).genotype) for step in range(20))
    assert admit(searcher.best())
    assert sorted(genotype["b"] for genotype in searcher.propose(9)) == list("01234")


def test_a_budget_that_nothing_keeps_is_an_error(small):
    searcher = RandomSearcher(small, seed=0, steps=1, admit=lambda genotype: False)
    with pytest.raises(BudgetError, match=r"none of 2000 genotypes drawn from space 'small'"):
        searcher.decide(0)


@pytest.mark.parametrize("name", ["random", "evolution", "optuna"])
def test_a_space_that_was_proposed_whole_is_not_searched_for_more(name):
    if name == "optuna":
        pytest.importorskip("optuna")
    pair = SearchSpace("pair", Group({"a": ValueChoice(0, 1)}))
    searcher = load_plugins().factory("searcher", name)(pair, seed=0, steps=1)
    assert len(searcher.propose(5)) == 2
    before = searcher.state_dict()["random"]
    assert searcher.propose(5) == []
    assert searcher.state_dict()["random"] == before
