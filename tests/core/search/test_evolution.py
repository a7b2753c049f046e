from __future__ import annotations

import json

import pytest
from scipy.stats import wilcoxon

from medpipe_core import Group, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import BudgetError, EvolutionSearcher, RandomSearcher, search
from medpipe_core.search.settings import SearchSettings


@pytest.fixture
def small():
    return SearchSpace("small", Group({"a": ValueChoice(*range(6)), "b": ValueChoice(*range(5))}))


def distance(one, other):
    return sum(one[path] != other[path] for path in one)


def score_all(searcher, genotypes, scores):
    for genotype, score in zip(genotypes, scores, strict=True):
        searcher.observe(Outcome(genotype, 0, score=score))


@pytest.mark.parametrize("crossover", [0.0, 0.5])
def test_a_better_genotype_is_found_than_at_random_with_as_many_scores(
    tower, planted, play, crossover
):
    gains = []
    for seed in range(24):
        score = planted(tower, seed)
        one = EvolutionSearcher(tower, seed=seed, steps=1, crossover=crossover)
        other = RandomSearcher(tower, seed=seed, steps=1)
        assert len(play(one, score, 60)) == len(play(other, score, 60)) == 60
        gains.append(score(one.best()) - score(other.best()))
    assert sum(gains) / len(gains) > 0.7
    assert wilcoxon(gains, alternative="greater").pvalue < 1e-3


def test_the_population_fills_with_what_random_search_draws(tower, planted, play):
    score = planted(tower, 0)
    one = EvolutionSearcher(tower, seed=3, steps=1, population=6)
    other = RandomSearcher(tower, seed=3, steps=1)
    assert play(one, score, 6) == play(other, score, 6)
    assert one.insight()["population"] == 6
    assert one.propose(2) != other.propose(2)


def test_a_child_is_one_change_away_from_the_best_of_the_population(small):
    searcher = EvolutionSearcher(small, seed=0, steps=1, population=3, sample=60)
    members = searcher.propose(3)
    score_all(searcher, members, (0.1, 0.9, 0.5))
    # Of sixty draws from three members the best is among them but once in 10¹⁰.
    children = searcher.propose(3)
    assert [distance(child, members[1]) for child in children] == [1, 1, 1]
    assert not set(children) & set(members)


def test_a_child_changes_as_many_choices_as_asked(tower):
    searcher = EvolutionSearcher(
        tower, seed=0, steps=1, population=2, sample=40, mutations=2, crossover=0.0
    )
    members = [tower.unrank(0), tower.unrank(1)]
    score_all(searcher, members, (1.0, 0.0))
    for child in searcher.propose(8):
        shared = [path for path in child if path in members[0].choices]
        changed = sum(child[path] != members[0][path] for path in shared)
        assert 1 <= changed <= 2  # one of the two may lie under a key that the other closed


def test_a_child_of_two_takes_from_both():
    wide = SearchSpace("wide", Group({f"c{i}": ValueChoice(0, 1, 2) for i in range(40)}))
    zeros, ones = (wide.genotype(dict.fromkeys(wide.choices, key)) for key in "01")
    searcher = EvolutionSearcher(wide, seed=0, steps=1, population=2, sample=1, crossover=1.0)
    score_all(searcher, (zeros, ones), (0.5, 0.5))
    shares = [sum(key == "0" for key in child.choices.values()) for child in searcher.propose(20)]
    # With one member a tournament, half of the pairs are of two different members.
    assert any(8 < share < 32 for share in shares)


def test_the_oldest_dies_however_good_it_is(small):
    searcher = EvolutionSearcher(small, seed=0, steps=1, population=2, sample=60)
    first, second, third = (small.unrank(rank) for rank in (0, 12, 29))
    score_all(searcher, (first, second, third), (0.9, 0.2, 0.1))
    assert searcher.insight() == {"population": 2, "mean_score": pytest.approx(0.15)}
    assert all(distance(child, second) == 1 for child in searcher.propose(3))
    assert searcher.best() == first


def test_candidates_without_a_score_do_not_enter(tower):
    searcher = EvolutionSearcher(tower, seed=0, steps=1, population=2, sample=2)
    proposed = [genotype for _ in range(20) for genotype in searcher.propose(3)]
    assert len(set(map(tower.canonical, proposed))) == 60
    assert searcher.insight() == {"population": 0}
    searcher.observe(Outcome(proposed[0], 0, train_loss=0.3, validation_loss=0.1))
    assert searcher.insight()["population"] == 0
    assert tower.rank(searcher.best()) >= 0


@pytest.mark.slow
def test_nothing_is_proposed_twice_until_the_space_is_used_up(space, planted, play):
    searcher = EvolutionSearcher(space, seed=0, steps=1, population=4, sample=2)
    proposed = play(searcher, planted(space, 0), 200, at_once=5)
    assert len(proposed) == space.distinct_size() < space.size()
    assert len(set(map(space.canonical, proposed))) == len(proposed)
    assert searcher.propose(3) == []


def test_a_space_of_one_genotype_is_used_up_by_one_proposal(play):
    single = SearchSpace("single", Group({"a": ValueChoice(1)}))
    searcher = EvolutionSearcher(single, seed=0, steps=1, population=2, sample=1)
    assert play(searcher, lambda genotype: 1.0, 8) == [single.unrank(0)]
    assert searcher.best() == single.unrank(0)


@pytest.mark.parametrize("paths", ["uniform", "population"])
def test_the_budget_holds_for_decisions_proposals_and_best(small, paths):
    def admit(genotype):
        return int(genotype["a"]) + int(genotype["b"]) <= 3

    searcher = EvolutionSearcher(
        small, seed=0, steps=1, population=3, sample=2, crossover=0.5, paths=paths, admit=admit
    )
    assert admit(searcher.best())
    proposed = []
    for number in range(8):
        assert admit(searcher.decide(number).genotype)
        for genotype in searcher.propose(2):
            searcher.observe(Outcome(genotype, number, score=float(small.rank(genotype))))
            proposed.append(genotype)
    assert len(proposed) == sum(admit(small.unrank(rank)) for rank in range(30))
    assert all(map(admit, proposed))
    assert admit(searcher.best())


def test_a_budget_that_nothing_keeps_is_an_error(small):
    searcher = EvolutionSearcher(small, seed=0, steps=1, admit=lambda genotype: False)
    with pytest.raises(BudgetError, match=r"none of 2000 genotypes drawn from space 'small'"):
        searcher.propose(1)


def test_paths_are_uniform_or_of_a_full_population_as_asked(small):
    members = [small.unrank(rank) for rank in (3, 11, 20)]
    drawn = {}
    for paths in ("uniform", "population"):
        searcher = EvolutionSearcher(small, seed=0, steps=1, population=3, sample=2, paths=paths)
        score_all(searcher, members[:2], (0.1, 0.2))
        assert len({searcher.decide(step).genotype for step in range(300)}) == 30
        score_all(searcher, members[2:], (0.3,))
        drawn[paths] = {searcher.decide(step).genotype for step in range(300)}
    assert drawn["population"] == set(members)
    assert len(drawn["uniform"]) == 30


@pytest.mark.parametrize("done", [0, 1, 4, 15])
def test_a_searcher_restored_from_json_goes_on_identically(tower, planted, play, plain, done):
    score = planted(tower, 0)
    settings = {"steps": 1, "population": 5, "sample": 2, "crossover": 0.5, "paths": "population"}
    one = EvolutionSearcher(tower, seed=0, **settings)
    play(one, score, done * 2)
    state = one.state_dict()
    assert plain(state)
    other = EvolutionSearcher(tower, seed=5, **settings)
    play(other, score, 8)
    other.load_state_dict(json.loads(json.dumps(state)))
    assert other.best() == one.best()
    assert [other.decide(i) for i in range(5)] == [one.decide(i) for i in range(5)]
    assert play(other, score, 20) == play(one, score, 20)
    assert other.state_dict() == one.state_dict()


def test_the_seed_alone_decides_what_is_proposed(tower, planted, play):
    score = planted(tower, 0)
    runs = [
        play(EvolutionSearcher(tower, seed=seed, steps=1, population=4), score, 20)
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_ten_thousand_choices_are_bearable(play):
    branch = Group({f"c{i}": ValueChoice(0, 1, 2) for i in range(100)})
    vast = SearchSpace("vast", Group({f"b{i}": branch for i in range(100)}))
    searcher = EvolutionSearcher(
        vast, seed=0, steps=1, population=2, sample=2, crossover=0.5, mutations=20_000
    )
    proposed = play(searcher, lambda genotype: float(genotype["b3/c1"]), 6)
    assert len(set(proposed)) == 6


def test_a_search_runs_to_its_end(space, start, loss, journal):
    settings = SearchSettings(epochs=4, candidates=2)
    state = start(
        space, EvolutionSearcher, settings=settings, population=3, sample=2, paths="population"
    )

    def score(genotype, network):
        return {"score": float(space.rank(genotype))}

    found = search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert len({candidate.genotype for candidate in found}) == 8
    assert [fields["insight"]["population"] for fields in journal.of("search-epoch")] == [
        0, 1, 2, 3, 3, 3, 3, 3,
    ]  # fmt: skip
