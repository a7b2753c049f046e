"""What a space knows to be good goes with it, and stays out of what it is."""

from __future__ import annotations

import copy
import pickle

import pytest

import medpipe_core as mp


def space(**known):
    root = mp.Group(
        {
            "flip": mp.Group({"p": mp.ValueChoice(0, 0.5)}),
            "turn": mp.Group({"p": mp.ValueChoice(0, 0.5), "by": mp.ValueChoice(10, 20, 30)}),
        }
    )
    return mp.SearchSpace("mine", root, known=known)


BOTH = {"*/p": 0.5, "turn/by": 20}


def test_patterns_become_paths_and_values_keys_and_the_last_counts():
    found = space(both=BOTH, flips={"*/p": 0, "flip/p": 0.5}).known
    assert found["both"] == {"flip/p": "0.5", "turn/p": "0.5", "turn/by": "20"}
    assert found["flips"] == {"flip/p": "0.5", "turn/p": "0"}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"flop/p": 0.5}, r"space 'mine', known 'one': no choice 'flop/p'. Did you mean 'flip/p'"),
        ({"turn/by": 25}, r"space 'mine', known 'one': 'turn/by' cannot be '25'"),
    ],
)
def test_what_the_space_has_not_is_refused(choices, words):
    with pytest.raises(mp.SpaceError, match=words):
        space(one=choices)


def test_it_is_no_part_of_what_the_space_is():
    assert space(both=BOTH).digest == space().digest
    assert space(both=BOTH).to_json() == space().to_json()


def test_it_travels_and_stays_with_another_catalogue():
    one = space(both=BOTH)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one)), one.with_catalogue(None)):
        assert other.known == one.known


def test_a_narrower_space_knows_what_is_left():
    one = space(both=BOTH, flips={"flip/p": 0.5})
    assert set(one.fix({"turn/by": 20}).known) == {"both", "flips"}
    assert set(one.restrict({"turn/by": [10, 30]}).known) == {"flips"}
    assert one.restrict({"flip/p": [0]}).known == {}


def test_what_parts_know_by_one_name_becomes_one_and_comes_apart_again():
    one = space(both=BOTH)
    pair = mp.compose("pair", a=one, b=one, c=space(mine={"flip/p": 0}), d=mp.ValueChoice(1, 2))
    assert pair.known["both"]["a/turn/by"] == pair.known["both"]["b/turn/by"] == "20"
    assert pair.known["mine"] == {"c/flip/p": "0"}
    part, _ = pair.part("a", pair.sample(seed=0))
    assert part.known == one.known
    assert pair.part("d", pair.sample(seed=0))[0].known == {}


def test_a_genotype_is_named_where_all_that_matters_agrees():
    one = space(both=BOTH, still={"turn/p": 0, "turn/by": 20}, flips={"flip/p": 0.5})
    made = {"flip/p": "0.5", "turn/p": "0.5", "turn/by": "20"}
    assert one.known_as(one.genotype(made)) == ["both", "flips"]
    assert one.known_as(one.genotype({**made, "turn/by": "30"})) == ["flips"]
    assert one.known_as(one.genotype({**made, "flip/p": "0"})) == []


def test_what_has_no_effect_need_not_agree():
    turn = mp.Operation(
        "augmentation",
        "turn",
        {"p": mp.ValueChoice(0, 0.5), "by": mp.ValueChoice(10, 20)},
        neutral={"p": 0},
    )
    one = mp.SearchSpace(
        "one", mp.Group({"turn": turn}), known={"none": {"turn/p": 0, "turn/by": 20}}
    )
    assert one.known_as(one.genotype({"turn/p": "0", "turn/by": "10"})) == ["none"]
    assert one.known_as(one.genotype({"turn/p": "0.5", "turn/by": "20"})) == []


def test_what_breaks_a_constraint_names_nothing():
    root, limit = space().root, mp.Limit({"*/p": [0.5]}, at_most=1)
    one = mp.SearchSpace("one", root, constraints=[limit], known={"both": BOTH})
    assert one.known_as(one.sample(seed=0)) == []
