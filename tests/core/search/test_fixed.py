"""A genotype that is given, in place of a search."""

from __future__ import annotations

import json

import pytest

import medpipe_core as mp
from medpipe_core.search.fixed import FixedSearcher
from medpipe_core.search.given import FixedGenotypeError, decided

SPACE = mp.SearchSpace(
    "mine",
    mp.Group(
        {
            "flip": mp.Group({"p": mp.ValueChoice(0, 0.5), "on": mp.ValueChoice(True, False)}),
            "blur": mp.Group({"p": mp.ValueChoice(0, 0.5, 0.8), "size": mp.ValueChoice(1, 2)}),
        }
    ),
)
ALL = {"*/p": 0.5, "flip/on": True, "blur/size": 2}


def fixed(**settings):
    return FixedSearcher(SPACE, seed=0, steps=10, **settings)


def test_values_and_patterns_decide_a_genotype():
    choices = dict(decided(SPACE, {}, ALL).choices)
    assert choices == {"flip/p": "0.5", "flip/on": "true", "blur/p": "0.5", "blur/size": "2"}


def test_of_patterns_that_fit_the_last_counts():
    assert decided(SPACE, {}, {**ALL, "blur/p": 0.8})["blur/p"] == "0.8"
    assert decided(SPACE, {}, {"blur/p": 0.8, **ALL})["blur/p"] == "0.5"


def test_of_many_problems_the_first_are_told():
    choices = {f"nothing{number}": 1 for number in range(9)}
    with pytest.raises(FixedGenotypeError, match=r"'nothing5' in [^;]*; and 4 more$"):
        decided(SPACE, {}, {**ALL, **choices, "blur/p": 7})


def test_one_is_not_true():
    with pytest.raises(FixedGenotypeError, match=r"flip/on has no key 1; it has true, false"):
        decided(SPACE, {}, {**ALL, "flip/on": 1})


def test_choices_go_before_the_files(tmp_path):
    genotype = SPACE.sample(seed=3)
    (tmp_path / "genotype.json").write_text(genotype.to_json())
    assert fixed(genotype=str(tmp_path)).answer == genotype
    assert fixed(genotype=str(tmp_path / "genotype.json")).answer == genotype
    other = "2" if genotype["blur/size"] == "1" else "1"
    changed = fixed(genotype=str(tmp_path), choices={"blur/size": int(other)}).answer
    assert dict(changed.choices) == {**genotype.choices, "blur/size": other}


def test_a_file_of_another_space_counts_as_long_as_its_choices_fit(tmp_path):
    genotype = SPACE.sample(seed=3).to_dict() | {"space": "other", "space_digest": "0" * 16}
    path = tmp_path / "g.json"
    path.write_text(json.dumps(genotype))
    answer = fixed(genotype=str(path)).answer
    assert answer.space == "mine"
    assert dict(answer.choices) == genotype["choices"]


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"*/p": 0.5}, r"2 choices of space 'mine' are left open: flip/on, blur/size"),
        ({**ALL, "blr/p": 0}, r"no choice 'blr/p' in space 'mine'\..*blur/p"),
        ({**ALL, "*/sise": 0}, r"no choice '\*/sise'"),
        ({**ALL, "blur/p": 0.7}, r"blur/p has no key 0.7; it has 0, 0.5, 0.8"),
    ],
)
def test_what_decides_nothing_is_told(choices, reason):
    with pytest.raises(FixedGenotypeError, match=reason):
        decided(SPACE, {}, choices)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}'])
def test_a_file_that_is_no_genotype_is_told(tmp_path, text):
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(FixedGenotypeError, match=r"searcher\.genotype: .* is not a genotype"):
        fixed(genotype=str(path))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FixedGenotypeError, match=r"nowhere cannot be read: No such file"):
        fixed(genotype=str(tmp_path / "nowhere"))


def test_what_breaks_the_budget_is_refused():
    with pytest.raises(mp.MedpipeError, match="breaks the"):
        FixedSearcher(SPACE, seed=0, steps=1, choices=ALL, admit=lambda _: False)


@pytest.fixture
def runs(tmp_path):
    """Return the genotypes of runs with three seeds, two of them with seed 2, and their folder."""
    found = {}
    for number, name in enumerate(("a-s0", "b-s1", "c-s2", "d-s2")):
        (tmp_path / "ru[n]s" / name).mkdir(parents=True)
        found[name] = SPACE.sample(seed=number)
        (tmp_path / "ru[n]s" / name / "genotype.json").write_text(found[name].to_json())
    (tmp_path / "ru[n]s" / "e-s1").mkdir()  # one that has not found its genotype
    return tmp_path / "ru[n]s", found


def of_seed(seed, path):
    return FixedSearcher(SPACE, seed=seed, steps=1, genotype=path)


def test_the_run_of_the_same_seed_is_found_by_a_pattern(runs):
    folder, found = runs
    assert of_seed(0, f"{folder}/*-s{{seed}}").answer == found["a-s0"]
    assert of_seed(1, f"{folder}/*-s{{seed}}/genotype.json").answer == found["b-s1"]
    assert of_seed(7, f"{folder}/a*").answer == found["a-s0"]


def test_a_pattern_that_fits_none_or_several_is_told(runs):
    folder, _ = runs
    with pytest.raises(FixedGenotypeError, match=r"no genotype fits .* for seed 5; looked"):
        of_seed(5, f"{folder}/*-s{{seed}}")
    with pytest.raises(FixedGenotypeError, match=r"2 fit .* for seed 2; name one: .*c-s2.*d-s2"):
        of_seed(2, f"{folder}/*-s{{seed}}")


def test_what_is_there_by_its_very_name_is_no_pattern(tmp_path):
    (tmp_path / "*-s{seed}").mkdir()
    (tmp_path / "a-s0").mkdir()
    for seed, name in enumerate(("*-s{seed}", "a-s0")):
        (tmp_path / name / "genotype.json").write_text(SPACE.sample(seed=seed).to_json())
    assert of_seed(0, f"{tmp_path}/*-s{{seed}}").answer == SPACE.sample(seed=0)
