"""What is known to be good is proposed before anything else."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

import medpipe_core as mp
from medpipe_core import search
from medpipe_core.config import ConfigurationError
from medpipe_core.plugins import MissingPluginError, PluginError
from medpipe_core.search import Outcome, RandomSearcher, Searcher
from medpipe_core.search.fixed import FixedSearcher
from medpipe_core.search.given import FixedGenotypeError

SPACE = mp.SearchSpace(
    "mine",
    mp.Group(
        {
            "flip": mp.Group({"p": mp.ValueChoice(0, 0.5, 0.8)}),
            "blur": mp.Group({"p": mp.ValueChoice(0, 0.5, 0.8), "size": mp.ValueChoice(1, 2, 3)}),
            "width": mp.ValueChoice(1, 2, 3, 4, 5),
        }
    ),
)
POLICY = {"*/p": 0.5, "blur/size": 2}
SEARCHERS = {
    "random": search.RandomSearcher,
    "halving": search.HalvingSearcher,
    "evolution": search.EvolutionSearcher,
    "optuna": search.OptunaSearcher,
    "population": search.PopulationSearcher,
}


def made(name, known):
    """Make a searcher by its name."""
    if name == "optuna":
        pytest.importorskip("optuna")
    more = {"part": "flip"} if name == "population" else {}
    return SEARCHERS[name](SPACE, seed=3, steps=10, known=known, **more)


def values(genotype, *paths):
    return [genotype[path] for path in paths]


@pytest.mark.parametrize("name", SEARCHERS)
def test_known_policies_come_first_and_what_they_leave_open_is_drawn(name):
    searcher = made(name, [POLICY, {"*/p": 0}])
    first, second, *others = searcher.propose(6)
    assert values(first, "flip/p", "blur/p", "blur/size") == ["0.5", "0.5", "2"]
    assert values(second, "flip/p", "blur/p") == ["0", "0"]
    assert len({SPACE.canonical(g).digest for g in (first, second, *others)}) == 6
    assert any(values(g, "flip/p", "blur/p") != ["0.5", "0.5"] for g in others)


def test_what_is_open_follows_from_the_seed():
    assert made("random", [POLICY] * 9).propose(9) == made("random", [POLICY] * 9).propose(9)
    assert len({g["width"] for g in made("random", [POLICY] * 5).propose(5)}) > 1


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_file_is_proposed_as_it_is(tmp_path, name):
    genotype = SPACE.sample(seed=5)
    (tmp_path / "run-s3").mkdir()
    (tmp_path / "run-s3" / "genotype.json").write_text(genotype.to_json())
    assert made(name, [f"{tmp_path}/*-s{{seed}}"]).propose(2)[0] == genotype


@pytest.mark.parametrize("name", SEARCHERS)
def test_one_that_goes_on_gives_out_the_rest(name):
    known = [POLICY, {"*/p": 0}, {"*/p": 0.8}]
    whole, begun = made(name, known), made(name, known)
    both = [*whole.propose(2)]
    assert begun.propose(2) == both
    for searcher in (whole, begun):
        for genotype in both:
            searcher.observe(Outcome(genotype, 0, score=0.5))
    gone_on = made(name, known)
    gone_on.load_state_dict(json.loads(json.dumps(begun.state_dict())))
    assert gone_on.propose(4) == whole.propose(4)


def test_a_budget_is_kept_by_what_is_drawn():
    searcher = RandomSearcher(
        SPACE, seed=0, steps=1, known=[POLICY], admit=lambda g: g["width"] == "4"
    )
    (first,) = searcher.propose(1)
    assert values(first, "flip/p", "width") == ["0.5", "4"]


def test_what_is_known_twice_is_proposed_once(tmp_path):
    (tmp_path / "genotype.json").write_text(SPACE.sample(seed=5).to_json())
    searcher: Searcher = RandomSearcher(SPACE, seed=0, steps=1, known=[str(tmp_path)] * 2)
    found = searcher.propose(4)
    assert len({SPACE.canonical(g).digest for g in found}) == 4


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"*/q": 1}, r"no choice '\*/q' in space 'mine'"),
        ({"flip/p": 7}, "flip/p has no key 7; it has 0, 0.5, 0.8"),
        ("nowhere", r"searcher\.known: nowhere cannot be read"),
        ("nowhere/*", r"searcher\.known: no genotype fits 'nowhere/\*'"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_proposed(known, words):
    with pytest.raises(FixedGenotypeError, match=words):
        RandomSearcher(SPACE, seed=0, steps=1, known=[known])


KNOWING = mp.SearchSpace("mine", SPACE.root, known={"both": POLICY, "none": {"*/p": 0}})


@pytest.mark.parametrize("known", [["both", "none"], "space"])
def test_a_space_knows_by_name(known):
    times = 2 if known == "space" else 1
    found = RandomSearcher(KNOWING, seed=4, steps=10, known=known).propose(4)
    for genotype in found[:times]:
        assert values(genotype, "flip/p", "blur/p", "blur/size") == ["0.5", "0.5", "2"]
    for genotype in found[times : 2 * times]:
        assert values(genotype, "flip/p", "blur/p") == ["0", "0"]
    assert len({SPACE.canonical(g).digest for g in found}) == 4


def test_a_misspelt_name_is_told_what_the_space_knows():
    with pytest.raises(
        FixedGenotypeError, match=r"bth cannot be read: .*; the space knows 'both', 'none'"
    ):
        RandomSearcher(KNOWING, seed=3, steps=10, known=["bth"])


def test_a_space_that_knows_nothing_begins_as_ever():
    plain = RandomSearcher(SPACE, seed=3, steps=10)
    assert RandomSearcher(SPACE, seed=3, steps=10, known="space").propose(4) == plain.propose(4)


def test_what_is_known_goes_between_choices_and_file(tmp_path):
    (tmp_path / "genotype.json").write_text(SPACE.sample(seed=5).to_json())
    fixed = FixedSearcher(
        KNOWING, seed=0, steps=1, known="both", choices={"flip/p": 0.8}, genotype=str(tmp_path)
    )
    found = values(fixed.best(), "flip/p", "blur/p", "blur/size", "width")
    assert found == ["0.8", "0.5", "2", SPACE.sample(seed=5)["width"]]
    with pytest.raises(FixedGenotypeError, match=r"knows nothing by the name 'bth'. Did .*'both'"):
        FixedSearcher(KNOWING, seed=0, steps=1, known="bth")
    with pytest.raises(FixedGenotypeError, match=r"'mine' knows nothing by the name 'both'\.$"):
        FixedSearcher(SPACE, seed=0, steps=1, known="both")


REFUSED = {
    "random": ({"searcher.known": ["nowhere"]}, "searcher.known: nowhere cannot be read"),
    "evolution": ({"searcher.known": [{"*/q": 1}]}, "no choice '*/q' in space"),
    "halving": ({"searcher.known": [{"*": "none"}]}, "has no key 'none'"),
    "population": ({"searcher.known": ["no*"]}, "searcher.known: no genotype fits 'no*'"),
    "optuna": ({"searcher.known": ["nowhere"]}, "searcher.known: nowhere cannot be read"),
    "fixed": ({"searcher.known": "textbook"}, "knows nothing by the name 'textbook'"),
    "fixed ": ({"searcher.genotype": "nowhere"}, "searcher.genotype: nowhere cannot be read"),
}


def refused(registry, tmp_path, **keys):
    """Return the error of a run that cannot begin, and what was told until then."""
    seen = []
    base = {"space": "toy", "dataset": "toy", "run.root": str(tmp_path / "runs")}
    with pytest.raises(mp.MedpipeError) as caught:
        mp.run(**base, **keys, registry=registry, listeners=[lambda event, **_: seen.append(event)])
    return caught.value, seen


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_told_before_data_are_read(registry, tmp_path, name):
    keys, words = REFUSED[name]
    name = name.strip()
    error, seen = refused(registry, tmp_path, searcher=name, **keys)
    assert f"searcher={name}: " in str(error)
    assert words in str(error)
    assert seen == []


MISSING = mp.MissingExtraError("pip install acme")
ABSENT = MissingPluginError("block:acme is not registered")
ERRORS = [mp.SpaceError("too small"), RuntimeError("no"), MISSING, ABSENT]


class Settings(BaseModel):
    def check_space(self, space, *, seed):
        raise ERRORS[seed]


def test_settings_of_a_plugin_may_check_the_space(registry, tmp_path):
    mine = registry.adding("searcher", "mine", RandomSearcher, parameters=Settings)
    error, seen = refused(mine, tmp_path, searcher="mine", seed=0)
    assert (type(error), seen) == (ConfigurationError, [])
    assert "searcher=mine: too small" in str(error)
    error, _ = refused(mine, tmp_path, searcher="mine", seed=1)
    assert isinstance(error, PluginError)
    assert "could not check the space: RuntimeError: no (at " in str(error)
    for seed, expected in ((2, MISSING), (3, ABSENT)):
        assert refused(mine, tmp_path, searcher="mine", seed=seed)[0] is expected
