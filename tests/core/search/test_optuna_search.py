from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
from scipy.stats import wilcoxon

from medpipe_core import Group, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import (
    BudgetError,
    MissingOptunaError,
    OptunaSearcher,
    RandomSearcher,
    search,
)
from medpipe_core.search.searcher_settings import OptunaSettings
from medpipe_core.search.settings import SearchSettings

optuna = pytest.importorskip("optuna")

SAMPLERS = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "gp" else [])
    for name in OptunaSettings.model_fields["sampler"].annotation.__args__
]


@pytest.fixture
def small():
    return SearchSpace("small", Group({"a": ValueChoice(*range(6)), "b": ValueChoice(*range(5))}))


def trials(searcher):
    return searcher.state_dict()["study"]["trials"]


@pytest.mark.slow
def test_a_better_genotype_is_found_than_at_random_with_as_many_scores(tower, planted, play):
    gains = []
    for seed in range(16):
        score = planted(tower, seed)
        one = OptunaSearcher(tower, seed=seed, steps=1)
        other = RandomSearcher(tower, seed=seed, steps=1)
        assert len(play(one, score, 60)) == len(play(other, score, 60)) == 60
        gains.append(score(one.best()) - score(other.best()))
    assert sum(gains) / len(gains) > 0.5
    assert wilcoxon(gains, alternative="greater").pvalue < 0.01


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_walks_a_conditional_space_without_repeats(tower, planted, play, sampler):
    searcher = OptunaSearcher(tower, seed=0, steps=1, sampler=sampler, startup=4)
    proposed = play(searcher, planted(tower, 0), 12)
    assert len(set(map(tower.canonical, proposed))) == 12
    for genotype in proposed:
        tower.validate(genotype)
    assert searcher.insight() == {"trials": len(trials(searcher))}
    assert searcher.insight()["trials"] >= 12


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("done", [0, 3, 8])
def test_a_searcher_restored_from_json_goes_on_identically(
    tower, planted, play, plain, sampler, done
):
    score = planted(tower, 0)

    def admit(genotype):
        return genotype["layer1"] != "wide"

    settings = {"steps": 1, "sampler": sampler, "startup": 4, "admit": admit}
    one = OptunaSearcher(tower, seed=0, **settings)
    play(one, score, done * 2)
    state = one.state_dict()
    assert plain(state)
    other = OptunaSearcher(tower, seed=0, **settings)
    play(other, lambda genotype: 0.0, 4)
    other.load_state_dict(json.loads(json.dumps(state)))
    assert other.best() == one.best()
    assert [other.decide(i) for i in range(5)] == [one.decide(i) for i in range(5)]
    assert play(other, score, 4) == play(one, score, 4)
    assert other.state_dict() == one.state_dict()


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_searcher_stopped_before_its_scores_goes_on_identically(tower, planted, play, sampler):
    score = planted(tower, 0)
    one = OptunaSearcher(tower, seed=0, steps=1, sampler=sampler, startup=2)
    play(one, score, 6)
    proposed = one.propose(3)
    other = OptunaSearcher(tower, seed=0, steps=1, sampler=sampler, startup=2)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for searcher in (one, other):
        for genotype in proposed[1:]:
            searcher.observe(Outcome(genotype, 0, score=score(genotype)))
    assert play(other, score, 6) == play(one, score, 6)
    assert other.state_dict() == one.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_process_proposes_the_same(tower, planted, play, sampler):
    code = f"""
from medpipe_core import Group, OperationChoice, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import OptunaSearcher
inner = Group({{"k": ValueChoice(1, 3, 5), "e": ValueChoice("x", "y", "z")}})
layer = OperationChoice({{"in": inner, "out": ValueChoice(1, 2)}})
space = SearchSpace("s", Group({{"a": layer, "b": layer, "c": layer, "d": ValueChoice(7, 8, 9)}}))
searcher = OptunaSearcher(space, seed=0, steps=1, sampler={sampler!r}, startup=3)
for _ in range(10):
    for genotype in searcher.propose(1):
        searcher.observe(Outcome(genotype, 0, score=float(space.rank(genotype) % 17)))
        print(genotype.digest)
"""
    told = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for hash_seed in ("1", "2")
    ]
    assert told[0].stdout == told[1].stdout
    assert told[0].stdout.count("\n") == 10
    assert told[0].stderr == ""


def test_the_seed_decides_what_is_proposed(tower, planted, play):
    score = planted(tower, 0)
    runs = [play(OptunaSearcher(tower, seed=seed, steps=1), score, 16) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_budget_holds_for_decisions_proposals_and_best(small, play, sampler):
    def admit(genotype):
        return int(genotype["a"]) + int(genotype["b"]) <= 3

    searcher = OptunaSearcher(small, seed=0, steps=1, sampler=sampler, startup=3, admit=admit)
    assert admit(searcher.best())
    proposed = play(searcher, lambda genotype: float(small.rank(genotype)), 14)
    assert all(map(admit, proposed))
    assert len(proposed) == sum(admit(small.unrank(rank)) for rank in range(30))
    assert all(admit(searcher.decide(step).genotype) for step in range(20))
    assert admit(searcher.best())
    assert searcher.propose(2) == []


def test_what_is_above_the_budget_is_pruned_and_avoided(tower, planted, play):
    def admit(genotype):
        return genotype["layer1"] == genotype["layer2"] == "sees"

    searcher = OptunaSearcher(tower, seed=0, steps=1, admit=admit)
    play(searcher, planted(tower, 0), 40)
    states = [trial["state"] for trial in trials(searcher)]
    refused = [number for number, state in enumerate(states) if state == "PRUNED"]
    assert states.count("COMPLETE") == 40
    # One in nine keeps this budget, so drawing blindly refuses eight for each that it keeps.
    assert len([number for number in refused if number >= len(states) // 2]) < len(refused) / 4


def test_a_budget_that_nothing_keeps_is_an_error(small):
    searcher = OptunaSearcher(small, seed=0, steps=1, admit=lambda genotype: False)
    with pytest.raises(BudgetError, match=r"none of 2000 genotypes drawn from space 'small'"):
        searcher.propose(1)


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "qmc"])
def test_nothing_is_proposed_twice_until_the_space_is_used_up(space, planted, play, sampler):
    searcher = OptunaSearcher(space, seed=0, steps=1, sampler=sampler)
    proposed = play(searcher, planted(space, 0), 60, at_once=5)
    assert len(proposed) == space.distinct_size() < space.size()
    assert len(set(map(space.canonical, proposed))) == len(proposed)
    assert searcher.propose(3) == []


def test_a_space_of_one_genotype_is_used_up_by_one_proposal(play):
    single = SearchSpace("single", Group({"a": ValueChoice(1)}))
    searcher = OptunaSearcher(single, seed=0, steps=1)
    assert play(searcher, lambda genotype: 1.0, 4) == [single.unrank(0)]


def test_candidates_without_a_score_end_as_failed_trials(tower):
    searcher = OptunaSearcher(tower, seed=0, steps=1, startup=2)
    proposed = [genotype for _ in range(8) for genotype in searcher.propose(2)]
    searcher.observe(Outcome(proposed[-1], 0, train_loss=0.1))
    states = [trial["state"] for trial in trials(searcher)]
    assert set(states) == {"FAIL", "RUNNING"}
    assert states.count("RUNNING") == 2
    assert len(set(map(tower.canonical, proposed))) == 16
    tower.validate(searcher.best())


def test_a_score_of_what_was_not_proposed_counts_for_the_best_alone(tower):
    searcher = OptunaSearcher(tower, seed=0, steps=1)
    searcher.observe(Outcome(tower.unrank(5), 0, score=3.0))
    assert searcher.best() == tower.unrank(5)
    assert trials(searcher) == []


def test_numbers_are_suggested_by_their_place_and_all_else_by_key(play):
    space = SearchSpace(
        "kinds",
        Group(
            {
                "rising": ValueChoice(0.1, 0.5, 2),
                "falling": ValueChoice(30, 20, 10),
                "mixed": ValueChoice(1, 3, 2),
                "two": ValueChoice(1, 2),
                "words": ValueChoice("a", "b", "c"),
                "flags": ValueChoice(False, True, None),
                "one": ValueChoice(7),
            }
        ),
    )
    searcher = OptunaSearcher(space, seed=0, steps=1)
    play(searcher, lambda genotype: 0.0, 4)
    found = searcher._study._study.trials[0].distributions
    by_place = {path for path, kind in found.items() if hasattr(kind, "high")}
    assert by_place == {"rising", "falling"}
    assert set(found) == set(space.choices) - {"one"}


def test_optuna_is_silent_and_as_talkative_as_before_afterwards(tower, planted, play, capfd):
    logger = logging.getLogger("optuna")
    before = logger.level
    try:
        for level in (logging.DEBUG, logging.ERROR):
            logger.setLevel(level)
            play(OptunaSearcher(tower, seed=0, steps=1, startup=2), planted(tower, 0), 6)
            assert logger.level == level
    finally:
        logger.setLevel(before)
    assert capfd.readouterr() == ("", "")


def test_a_missing_optuna_is_an_error_that_says_how_to_get_it(tower, monkeypatch):
    monkeypatch.delitem(sys.modules, "medpipe_core.search.optuna_study", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingOptunaError, match=r'pip install "medpipe\[optuna\]"'):
        OptunaSearcher(tower, seed=0, steps=1)


def test_registering_and_importing_the_searcher_imports_no_optuna():
    code = (
        "import sys, medpipe_core.search.plugin, medpipe_core.search.optuna_search\n"
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_an_unknown_sampler_is_an_error(tower):
    with pytest.raises(ValueError, match="there is no sampler 'cmaes'; give tpe"):
        OptunaSearcher(tower, seed=0, steps=1, sampler="cmaes")


@pytest.mark.slow
def test_ten_thousand_choices_are_bearable(play):
    branch = Group({f"c{i}": ValueChoice(0, 1, 2) for i in range(100)})
    vast = SearchSpace("vast", Group({f"b{i}": branch for i in range(100)}))
    searcher = OptunaSearcher(vast, seed=0, steps=1, startup=2)
    proposed = play(searcher, lambda genotype: float(genotype["b3/c1"]), 4)
    assert len(set(proposed)) == 4


def test_a_search_runs_to_its_end(space, start, loss, journal):
    settings = SearchSettings(epochs=3, candidates=2)
    state = start(space, OptunaSearcher, settings=settings, startup=2)

    def score(genotype, network):
        return {"score": float(space.rank(genotype))}

    found = search(state, settings=settings, loss=loss, score=score, emit=journal)
    assert len({candidate.genotype for candidate in found}) == 6
    assert all(fields["insight"]["trials"] > 0 for fields in journal.of("search-epoch"))
