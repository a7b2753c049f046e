from __future__ import annotations

import pytest

from medpipe_core import Group, SearchSpace, ValueChoice
from medpipe_core.search import ScoreSearcher


class Fixed(ScoreSearcher):
    """Proposes nothing but what a test asks it for."""

    def propose(self, count):
        return self.unseen(count)


@pytest.fixture
def small():
    return SearchSpace("small", Group({"a": ValueChoice(*range(6)), "b": ValueChoice(*range(5))}))


def test_no_more_is_drawn_than_asked_for(small):
    searcher = Fixed(small, seed=0, steps=1)
    before = searcher.state_dict()
    assert searcher.unseen(0) == []
    assert searcher.state_dict() == before


def test_what_does_the_same_is_remembered_as_one(space):
    searcher = Fixed(space, seed=0, steps=1)
    members = list(map(space.unrank, range(space.size())))
    assert sum(map(searcher.remember, members)) == space.distinct_size() < space.size()
    assert not any(map(searcher.remember, members))


def test_a_mutant_changes_as_many_choices_as_it_can(small):
    searcher = Fixed(small, seed=0, steps=1)
    start = small.unrank(0)
    for asked, changed in ((0, 0), (1, 1), (2, 2), (9, 2)):
        mutant = searcher.mutated(start, asked)
        assert sum(mutant[path] != start[path] for path in start) == changed


def test_a_genotype_that_cannot_change_is_its_own_mutant():
    single = SearchSpace("single", Group({"a": ValueChoice(1), "b": ValueChoice("x")}))
    searcher = Fixed(single, seed=0, steps=1)
    assert searcher.mutated(single.unrank(0), 2) == single.unrank(0)
