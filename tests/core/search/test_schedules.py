"""Schedules of policies: what one training can go through, and where they are read from."""

from __future__ import annotations

import json

import pytest

import medpipe_core as mp
from medpipe_core.search.checked_searcher import CheckedSearcher, SearcherError
from medpipe_core.search.fixed import FixedSearcher
from medpipe_core.search.given import FixedGenotypeError
from medpipe_core.search.schedules import (
    ScheduleError,
    check_schedule,
    read_schedule,
    schedule_json,
)
from medpipe_core.search.searcher_settings import FixedSettings

LAYER = mp.Operation("augmentation", "flip", {"p": mp.ValueChoice(0.0, 0.5)}, neutral={"p": 0.0})
SPACE = mp.SearchSpace(
    "mine",
    mp.Group(
        {
            "augment": mp.Group({"flip": LAYER}),
            "network": mp.Operation("block", "conv", {"channels": mp.ValueChoice(1, 2)}),
            "lr": mp.ValueChoice(0.1, 0.2),
        }
    ),
)


def genotype(p=0.0, channels=1, lr=0.1):
    return SPACE.genotype(
        {
            "augment/flip/p": str(p).removesuffix(".0"),
            "network/channels": str(channels),
            "lr": str(lr),
        }
    )


def test_policies_may_differ_and_nothing_else():
    check_schedule(SPACE, [genotype(0.0), genotype(0.5), genotype(0.0)])
    for other in (genotype(0.5, channels=2), genotype(0.5, lr=0.2)):
        with pytest.raises(ScheduleError, match="number 3 of the schedule differs"):
            check_schedule(SPACE, [genotype(0.0), genotype(0.5), other])


def test_a_file_goes_around(tmp_path):
    schedule = (genotype(0.0), genotype(0.5))
    (tmp_path / "schedule.json").write_text(schedule_json(schedule))
    for path in (tmp_path, tmp_path / "schedule.json"):
        searcher = FixedSearcher(SPACE, seed=0, steps=1, schedule=str(path))
        assert searcher.schedule() == schedule
        assert searcher.answer == schedule[-1]
    changed = FixedSearcher(SPACE, seed=0, steps=1, schedule=str(tmp_path), choices={"lr": 0.2})
    assert changed.schedule() == (genotype(0.0, lr=0.2), genotype(0.5, lr=0.2))


def test_a_genotype_alone_has_no_schedule(tmp_path):
    (tmp_path / "genotype.json").write_text(genotype(0.5).to_json())
    assert FixedSearcher(SPACE, seed=0, steps=1, genotype=str(tmp_path)).schedule() == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", "[[]]", '[{"choices": 1}]', "[" * 99999])
def test_what_is_no_schedule_is_refused(tmp_path, text):
    (tmp_path / "schedule.json").write_text(text)
    with pytest.raises(FixedGenotypeError, match=r"searcher\.schedule: \S+schedule\.json is "):
        FixedSearcher(SPACE, seed=0, steps=1, schedule=str(tmp_path))


def test_a_schedule_of_two_networks_is_refused(tmp_path):
    (tmp_path / "schedule.json").write_text(schedule_json([genotype(), genotype(channels=2)]))
    with pytest.raises(ScheduleError, match="number 2"):
        FixedSearcher(SPACE, seed=0, steps=1, schedule=str(tmp_path))


def test_a_genotype_and_a_schedule_are_one_too_many():
    with pytest.raises(ValueError, match="not both"):
        FixedSettings(genotype="g.json", schedule="s.json")


def test_choices_are_read_as_they_were_written():
    schedule = [genotype(0.5), genotype(0.0)]
    assert list(map(dict, read_schedule(schedule_json(schedule)))) == [
        dict(one.choices) for one in schedule
    ]
    assert len(json.loads(schedule_json(schedule))) == 2


class Mistaken(mp.Searcher):
    given = ()

    def decide(self, step):
        return mp.Decision(self.best())

    def observe(self, outcome):
        pass

    def best(self):
        return genotype(0.5)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass

    def schedule(self):
        return self.given


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "returned nothing .None., not a tuple"),
        ((genotype(0.5), 1), "returned a int, not a Genotype"),
        ((genotype(0.5), genotype(0.0)), "not one that ends with best"),
        ((genotype(0.5, channels=2), genotype(0.5)), "number 2 of the schedule differs"),
    ],
)
def test_a_searchers_mistake_names_it(given, told):
    searcher = Mistaken(SPACE, seed=0, steps=1)
    searcher.given = given
    with pytest.raises(SearcherError, match=rf"Mistaken .*schedule\(\).*{told}"):
        CheckedSearcher(searcher, SPACE).schedule()
    searcher.given = [genotype(0.0), genotype(0.5)]
    assert CheckedSearcher(searcher, SPACE).schedule() == (genotype(0.0), genotype(0.5))
