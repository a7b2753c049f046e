"""Candidates of a search scored in races: successive halving, Hyperband, and other searchers."""

from __future__ import annotations

import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.execution.fidelity import Fidelity
from medpipe_core.execution.trial_scoring import TrialScoring, fidelities
from medpipe_core.record import open_folder
from medpipe_core.search import HalvingSearcher, Outcome
from medpipe_core.search.settings import SearchSettings

RACE = {"scores": "trained", "candidates": 9, "rungs": 3}


@pytest.fixture
def race(registry, toy_values, tmp_path):
    def run(name="runs", **more):
        keys = {
            **toy_values, "searcher": "halving", "search.candidates": 6, "search.rungs": 2,
            "search.brackets": 1, "search.trial_epochs": 1, "evaluate.top_k": 1,
            "evaluate.epochs": 1, "run.root": str(tmp_path / name), **more,
        }  # fmt: skip
        result = mp.run(registry=registry, **keys)
        return result, open_folder(result.folder).events()

    return run


def of(events, name):
    return [event for event in events if event["event"] == name]


def test_better_candidates_are_trained_longer_and_the_best_of_those_is_the_answer(race):
    result, events = race()
    rounds = of(events, "search-race")
    assert (
        sorted((e["rung"], e["fidelity"]["epochs"]) for e in rounds) == [(0, 1)] * 6 + [(1, 3)] * 2
    )
    first = {e["genotype"]: e["figures"]["score"] for e in rounds if e["rung"] == 0}
    later = {e["genotype"]: e["figures"]["score"] for e in rounds if e["rung"] == 1}
    assert min(first[digest] for digest in later) >= max(
        score for digest, score in first.items() if digest not in later
    )
    assert result.content["genotype_digest"] == max(later, key=later.get)
    told = of(events, "search-epoch")
    assert [e["rung"] for e in told] == [int(e["genotype"] in later) for e in told]
    assert not of(events, "search-step")
    planned = of(events, "plan")[0]["stages"]["search"]
    # Half of 24 volumes are three batches of four: six trials of one epoch, two of three.
    assert planned == {"event": "search-trial", "count": 12, "work": (6 + 2 * 3) * 3.0}
    assert len(of(events, "search-trial")) == 12
    assert sum(e["steps"] for e in of(events, "search-trial")) == planned["work"]


def test_brackets_begin_where_the_last_one_has_got_to(race):
    _, events = race(**{"search.candidates": 7, "search.brackets": 2})
    rounds = sorted((e["rung"], e["fidelity"]["epochs"]) for e in of(events, "search-race"))
    # Hyperband's shares, 3/2 to 1: four begin with an epoch, of which two go on, three with three.
    assert rounds == [(0, 1)] * 4 + [(1, 3)] * (2 + 3)


@pytest.mark.parametrize("searcher", ["evolution", "optuna"])
def test_proposals_of_other_searchers_can_be_raced(race, searcher):
    if searcher == "optuna":
        pytest.importorskip("optuna")
    own = {"searcher.population": 4} if searcher == "evolution" else {"searcher.startup": 3}
    own = own | ({"searcher.sample": 2} if searcher == "evolution" else {})
    _, events = race(
        searcher=searcher,
        **own,
        **{"search.scores": "trained", "evaluate.inherit": False, "search.epochs": 2},
    )
    assert len(of(events, "search-race")) == 2 * (6 + 2)


@pytest.mark.slow
def test_several_workers_find_the_same(context, development, in_two, trial_of):
    settings = SearchSettings(candidates=6, trial_epochs=1, rungs=2, scores="trained")
    object.__setattr__(context.configuration.keys, "search", settings)
    proposed = [trial_of(number).genotype for number in range(6)]
    from medpipe_core.execution.local_executor import LocalExecutor

    found = []
    for executor in (LocalExecutor(context), in_two):
        scoring = TrialScoring(context, executor, development, lambda *_, **__: None)
        rows = list(scoring.scored(proposed))
        found.append([(row.genotype, row.figures, row.rung, row.dropped) for row in rows])
    assert found[0] == found[1]
    assert [row[0] for row in found[0]] == proposed


def test_the_searcher_brings_the_keys_that_suit_it_below_those_that_are_given(registry):
    given = {"space": "toy", "dataset": "toy", "searcher": "halving"}
    keys = resolve(given, registry).keys
    assert (keys.search.scores, keys.search.epochs, keys.evaluate.inherit) == ("trained", 1, False)
    assert keys.evaluate.top_k == 1  # the race has compared them
    keys = resolve({**given, "search.rungs": 2, "search.brackets": 1}, registry).keys
    assert (keys.search.rungs, keys.search.brackets, keys.search.scores) == (2, 1, "trained")
    assert resolve({**given, "searcher": "random"}, registry).keys.search.rungs == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scores": "shared"}, "give scores=trained"),
        ({"candidates": 1}, "there is nobody to race"),
        ({"objectives": ["score", "parameters"]}, "races by the score alone"),
        ({"rises": ["volumes"], "trial_volumes": 0.5}, "round 3 of the race would be as round 2"),
        ({"trial_width": 0.0}, "trial_width"),
    ],
)
def test_a_race_that_cannot_be_run_is_refused_in_words(registry, wrong, said):
    keys = {f"search.{name}": value for name, value in {**RACE, **wrong}.items()}
    with pytest.raises(ConfigurationError, match=said):
        resolve({"space": "toy", "dataset": "toy", **keys}, registry)


def test_what_rises_costs_so_many_times_as_much():
    every = ("epochs", "volumes", "edge", "width")
    first = {"trial_epochs": 2, "trial_volumes": 0.1, "trial_edge": 0.25, "trial_width": 0.25}
    levels = fidelities(SearchSettings(**RACE, **first, rises=every, reduction=4))
    assert levels[0] == Fidelity(2, 0.1, 0.25, 0.25)
    assert levels[1].epochs == 8
    assert levels[1].volumes == pytest.approx(0.4)
    assert levels[1].edge ** 3 == pytest.approx(4 * 0.25**3)
    assert levels[1].width ** 2 == pytest.approx(4 * 0.25**2)
    assert (levels[2].epochs, levels[2].volumes, levels[2].width) == (32, 1.0, 1.0)
    still = fidelities(SearchSettings(**RACE, **first))
    assert [(level.epochs, level.edge) for level in still] == [(2, 0.25), (6, 0.25), (18, 0.25)]


def test_the_best_is_of_those_that_came_farthest(registry):
    space = registry.space("toy", width=3)
    searcher = HalvingSearcher(space, seed=0, steps=0)
    one, other, third = searcher.propose(3)
    searcher.observe(Outcome(one, 0, score=0.9, rung=0, dropped=True))
    searcher.observe(Outcome(other, 0, score=0.6, rung=1))
    searcher.observe(Outcome(third, 0, score=0.7, rung=0, dropped=True))
    assert searcher.best() == other
    restored = HalvingSearcher(space, seed=0, steps=0)
    restored.load_state_dict(searcher.state_dict())
    assert restored.best() == other


def test_there_are_no_more_races_than_rounds(registry, toy_values):
    """So that a searcher's own number of races is no error where somebody asks for fewer rounds."""
    known = resolve({**toy_values, "searcher": "halving", "search.rungs": 2}, registry)
    assert known.keys.search.brackets == 2
    assert SearchSettings(**RACE, brackets=30).brackets == 3
