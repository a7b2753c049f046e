"""Genotypes in which no augmentation acts."""

from __future__ import annotations

import pytest

from medpipe_core import Group, Operation, OperationChoice, SearchSpace, ValueChoice, forbid
from medpipe_core.space import idle


def layer(name, **more):
    parameters = {"p": ValueChoice(0.2, 0.0, 0.5), **more}
    return Operation("augmentation", name, parameters, neutral={"p": 0.0})


BLOCK = OperationChoice(
    {
        "conv": Operation("block", "conv", {"kernel": ValueChoice(3, 5)}),
        "identity": Operation("block", "identity", {}, neutral={}),
    }
)


def test_what_augments_stops_and_all_else_stays():
    root = Group({"a": layer("a", size=ValueChoice(1, 2)), "b": layer("b"), "block": BLOCK})
    space = SearchSpace("toy", root)
    for seed in range(20):
        genotype = space.sample(seed=seed)
        found = idle(space, genotype)
        space.validate(found)
        assert found["a/p"] == found["b/p"] == "0"
        others = {path: key for path, key in genotype.choices.items() if not path.endswith("/p")}
        assert {p: k for p, k in found.choices.items() if not p.endswith("/p")} == others


def test_one_of_several_becomes_the_one_that_does_nothing():
    nothing = Operation("augmentation", "nothing", {}, neutral={})
    one = OperationChoice({"blur": layer("blur"), "nothing": nothing})
    space = SearchSpace("toy", Group({"one": one}))
    for seed in range(10):
        assert idle(space, space.sample(seed=seed)).choices == {"one": "nothing"}


def test_what_cannot_stop_goes_on():
    always = Operation("augmentation", "always", {"p": ValueChoice(0.2, 0.5)})
    space = SearchSpace("toy", Group({"always": always, "other": layer("other")}))
    genotype = space.genotype({"always/p": "0.5", "other/p": "0.2"})
    assert idle(space, genotype).choices == {"always/p": "0.5", "other/p": "0"}


def test_where_a_constraint_forbids_it_nothing_changes():
    root = Group({"a": layer("a"), "b": layer("b")})
    space = SearchSpace("toy", root, constraints=[forbid({"a/p": [0.0], "b/p": [0.0]})])
    genotype = space.genotype({"a/p": "0.2", "b/p": "0.5"})
    assert idle(space, genotype) == genotype


@pytest.mark.parametrize("kind", ["block"])
def test_another_kind_can_be_meant(kind):
    space = SearchSpace("toy", Group({"a": layer("a"), "block": BLOCK}))
    genotype = space.genotype({"a/p": "0.5", "block": "conv", "block/conv/kernel": "5"})
    assert idle(space, genotype, kind).choices == {"a/p": "0.5", "block": "identity"}
