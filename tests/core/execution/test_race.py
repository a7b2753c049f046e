"""A race: the better candidates are trained longer, and the answer does not depend on who waits."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

import medpipe_core as mp
from medpipe_core.execution.race import brackets_of, race, races, rungs_of
from medpipe_core.record import open_folder


@dataclass(eq=False)
class Trial:
    number: int
    epochs: int


@dataclass(eq=False)
class Record:
    trial: Trial
    score: float
    failed: str = ""
    figures: dict = field(default_factory=dict)


def one_at_a_time(score):
    def run(trials):
        for trial in trials:
            yield Record(trial, score(trial))

    return run


def several(score, workers, seed):
    """Run trials on workers that take turns at random."""
    rng = random.Random(seed)

    def run(trials):
        running = []
        while True:
            while len(running) < workers and (trial := next(trials, None)) is not None:
                running.append(trial)
            if not running:
                return
            trial = running.pop(rng.randrange(len(running)))
            yield Record(trial, score(trial))

    return run


def ran(rungs, run):
    told = []
    rows = race(rungs, lambda number, rung: Trial(number, rung.epochs), run, told.append)
    return [(row.number, row.rung, row.record.score) for row in rows], told


def by_halves(rungs, score):
    """Return the ranking as the definition has it: round by round."""
    numbers, last = list(range(rungs[0].count)), {}
    for k, rung in enumerate(rungs):
        numbers = numbers[: rung.count]
        last |= {n: (n, k, score(Trial(n, rung.epochs))) for n in numbers}
        numbers = sorted(numbers, key=lambda n: (-last[n][2], n))
    return sorted(last.values(), key=lambda row: (row[2] == -math.inf, -row[1], -row[2], row[0]))


def scores(seed, ties):
    def score(trial):
        rng = random.Random(f"{seed}/{trial.number}/{trial.epochs}")
        value = rng.random()
        return round(value, 1) if ties else (-math.inf if value < 0.1 else value)

    return score


@given(
    count=st.integers(1, 12), rungs=st.integers(1, 5), reduction=st.integers(2, 4),
    workers=st.integers(1, 4), seed=st.integers(0, 1000), ties=st.booleans(),
)  # fmt: skip
def test_the_ranking_is_that_of_successive_halving_however_many_run_at_once(
    count, rungs, reduction, workers, seed, ties
):
    rounds = rungs_of(count, 3, rungs=rungs, reduction=reduction)
    score = scores(seed, ties)
    expected = by_halves(rounds, score)
    assert ran(rounds, one_at_a_time(score))[0] == expected
    rows, told = ran(rounds, several(score, workers, seed))
    assert rows == expected
    assert len(told) == sum(rung.count for rung in rounds)


def test_who_cannot_fall_behind_goes_on_at_once():
    rounds = rungs_of(4, 1, rungs=2, reduction=2)
    order = []

    def score(trial):
        order.append((trial.number, trial.epochs))
        return float(trial.number)

    ran(rounds, one_at_a_time(score))
    # After three of four, number 2 is sure of one of two places.
    assert order == [(0, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]


def test_one_round_is_a_plain_ranking():
    rows, _ = ran(
        rungs_of(3, 5, rungs=1, reduction=2), one_at_a_time(lambda t: [1, 3, 2][t.number])
    )
    assert [number for number, _, _ in rows] == [1, 2, 0]


def test_who_fails_in_a_later_round_does_not_win():
    rounds = rungs_of(2, 1, rungs=2, reduction=2)
    fails = one_at_a_time(lambda trial: -math.inf if trial.epochs == 2 else float(trial.number))
    assert ran(rounds, fails)[0] == [(0, 0, 0.0), (1, 1, -math.inf)]


@pytest.mark.parametrize(
    ("count", "rungs", "expected"),
    [
        (5, 3, [(5, 4), (3, 8), (2, 16)]),
        (1, 9, [(1, 4)]),
        (3, 9, [(3, 4), (2, 8), (1, 16)]),
    ],
)
def test_rounds_end_with_the_last_candidate(count, rungs, expected):
    found = rungs_of(count, 4, rungs=rungs, reduction=2)
    assert [(rung.count, rung.epochs) for rung in found] == expected


@given(
    count=st.integers(1, 20), rungs=st.integers(1, 4), brackets=st.integers(1, 4),
    workers=st.integers(1, 4), seed=st.integers(0, 1000),
)  # fmt: skip
def test_races_at_once_end_as_each_would_alone(count, rungs, brackets, workers, seed):
    many = brackets_of(count, 2, rungs=rungs, reduction=2, brackets=min(brackets, rungs))
    assert sum(bracket[0].count for bracket in many) == count
    score, told = scores(seed, ties=False), []
    run = several(score, workers, seed)
    settled = races(many, lambda n, rung: Trial(n, rung.epochs), run, told.append)
    rows = {row.number: row for row in settled}
    assert len(told) == sum(rung.count for bracket in many for rung in bracket)
    first = 0
    for bracket in many:
        assert [rung.epochs for rung in bracket] == [2 * 2**rung.level for rung in bracket]
        alone = by_halves(bracket, lambda trial: score(Trial(trial.number + first, trial.epochs)))  # noqa: B023
        for number, rung, reached in alone:
            row = rows.pop(number + first)
            assert (row.rung, row.record.score) == (rung + bracket[0].level, reached)
            assert row.dropped == (rung < len(bracket) - 1)
        first += bracket[0].count
    assert not rows


def test_a_later_race_begins_while_an_earlier_one_waits():
    order = []

    def score(trial):
        order.append((trial.number, trial.epochs))
        return -float(trial.number)

    many = [rungs_of(3, 1, rungs=2, reduction=3), rungs_of(2, 3, rungs=1, reduction=3, level=1)]
    made = lambda n, rung: Trial(n, rung.epochs)  # noqa: E731
    rows = list(races(many, made, several(score, 4, 0), lambda _: None))
    # Four workers have room for the three entrants of the first race and one of the second.
    assert (3, 3) in order[:5]
    assert sorted(row.number for row in rows if not row.dropped) == [0, 3, 4]


def test_brackets_share_entrants_so_that_each_costs_about_the_same():
    many = brackets_of(143, 1, rungs=4, reduction=3, brackets=4)
    costs = [sum(rung.count * rung.epochs for rung in bracket) for bracket in many]
    assert max(costs) < 1.5 * min(costs)
    assert [bracket[0].level for bracket in many] == [0, 1, 2, 3]


def test_a_run_races_its_candidates(registry, toy_values, tmp_path):
    keys = {
        **toy_values, "run.root": str(tmp_path), "evaluate.rungs": 3, "evaluate.epochs": 1,
        "evaluate.top_k": 4, "search.candidates": 6, "evaluate.inherit": False,
    }  # fmt: skip
    result = mp.run(registry=registry, **keys)
    rows = result.content["candidates"]
    assert [row["trained_epochs"] for row in rows] == [4, 2, 1, 1]
    assert rows[0]["genotype_digest"] == result.content["genotype_digest"]
    events = open_folder(result.folder).events()
    told = [event for event in events if event["event"] == "evaluate-candidate"]
    assert sorted((e["rung"], e["epochs"]) for e in told) == [(0, 1)] * 4 + [(1, 2)] * 2 + [(2, 4)]
    planned = next(e for e in events if e["event"] == "plan")["stages"]["evaluate"]
    assert planned["count"] == 4 * 1 + 2 * 2 + 4
