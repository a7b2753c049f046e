"""A space of one member is a space as any other."""

from __future__ import annotations

import pytest

from medpipe_core import (
    Group,
    Limit,
    Operation,
    OperationChoice,
    Repeat,
    SearchSpace,
    SpaceError,
    ValueChoice,
    compose,
)

CONV = Operation("block", "conv", {"channels": 8})


@pytest.mark.parametrize(
    "root",
    [
        CONV,
        Group({"a": CONV, "b": CONV}),
        Group({"a": Operation("block", "conv", {"stride": ValueChoice(1)})}),
        OperationChoice({"only": CONV}),
        Repeat(CONV, (0,)),
        Repeat(Operation("block", "conv", {"stride": ValueChoice(1)}), (2,)),
        ValueChoice("x"),
    ],
    ids=lambda root: type(root).__name__,
)
def test_all_that_can_be_asked_of_a_space_has_an_answer(root):
    space = SearchSpace("alone", root)
    assert space.size() == space.distinct_size() == 1
    only = space.unrank(0)
    assert space.sample(seed=0) == only == space.genotype(only.choices)
    assert space.rank(only) == 0
    assert space.crossover(only, only, seed=0) == space.canonical(only) == only
    assert space.cheapest({path: {c.keys[0]: 1.0} for path, c in space.choices.items()}) == only
    assert space.restrict().digest == space.fix(only.choices).digest == space.digest
    assert SearchSpace.from_json(space.to_json()).sample(seed=1) == only
    assert len(space.resolve(only)) == len(space.resolve(space.sample(seed=3)))
    assert space.describe()
    both = compose("both", one=space, two=space)
    part, share = both.part("two", both.sample(seed=0))
    assert (both.size(), part.digest, share.choices) == (1, space.digest, only.choices)
    with pytest.raises(SpaceError, match="0 choices of this genotype can change, not 1"):
        space.mutate(only, seed=0)
    with pytest.raises(IndexError, match="has 1 genotypes; none is 1"):
        space.unrank(1)


def test_constraints_and_sharing_may_leave_one_member():
    space = SearchSpace(
        "s",
        Group({"a": ValueChoice(1, 2), "b": ValueChoice(1, 2)}),
        constraints=[Limit({"*": [2]}, at_least=2)],
    )
    assert space.size() == 1
    assert dict(space.sample(seed=5).choices) == {"a": "2", "b": "2"}
    with pytest.raises(SpaceError, match="always breaks a constraint"):
        space.mutate(space.sample(seed=0), seed=0)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s, g: s.mutate(g, seed=0, count=0), "must be an integer from 1, but is 0"),
        (lambda s, g: s.mutate(g, seed=0, count=-1), "must be an integer from 1, but is -1"),
        (lambda s, g: s.mutate(g, seed=0, count=1.0), "must be an integer from 1, but is 1.0"),
        (lambda s, g: s.sample(seed="x"), "a seed must be an integer, but is 'x'"),
        (lambda s, g: s.sample(), "give either seed"),
        (lambda s, g: s.unrank("0"), "a position must be an integer, but is '0'"),
        (lambda s, g: s.unrank(0.0), "a position must be an integer, but is 0.0"),
        (lambda s, g: SearchSpace(None, s.root), "the name of a space must be a text"),
        (lambda s, g: Operation("block", 3), "the name of an Operation must be a text"),
        (lambda s, g: Operation("block", "x", [1]), "parameters must be names with values"),
        (lambda s, g: Operation("block", "x", {}, ["p"]), "neutral must be names with values"),
    ],
)
def test_wrong_numbers_and_names_are_refused_in_words(ask, words):
    space = SearchSpace("s", Group({"a": ValueChoice(1, 2)}))
    with pytest.raises(SpaceError, match=words):
        ask(space, space.sample(seed=0))
