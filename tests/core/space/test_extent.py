"""Descriptions that are too large are refused in words, before anything walks through them."""

from __future__ import annotations

import time

import pytest

from medpipe_core import (
    Budget,
    Group,
    Limit,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    SpaceError,
    ValueChoice,
    compose,
)


def doubled(levels):
    node = Group({"a": Operation("block", "identity"), "b": ValueChoice(1, 2)})
    for _ in range(levels):
        node = Group({"a": node, "b": node})
    return node


def nested(levels, wrap):
    node = ValueChoice(1, 2)
    for _ in range(levels):
        node = wrap(node)
    return node


def in_scope(node):
    return Shared({"s": ValueChoice(1, 2)}, Group({"x": Ref("s"), "y": node}))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Repeat(Repeat(ValueChoice(1, 2), (10_000,)), (10_000,)),
            "with 100,010,001 layers",
        ),
        (lambda: doubled(60), "with about 10\\^18 layers"),
        (lambda: nested(60, lambda n: Repeat(n, (0, 10_000))), "with about 10\\^240 layers"),
        (lambda: Group({f"l{i}": doubled(2) for i in range(2000)}), "with 3[0-9],... layers"),
        (lambda: nested(65, lambda n: Group({"x": n})), "nested deeper than 64 levels"),
        (lambda: nested(5000, lambda n: OperationChoice({"x": n})), "nested deeper than 64"),
        (lambda: nested(3000, in_scope), "nested deeper than 64"),
    ],
)
def test_what_is_too_large_is_refused_by_its_size_and_at_once(make, words):
    root = make()
    start = time.process_time()
    with pytest.raises(SpaceError, match=f"^space 'big': its description is .*{words}"):
        SearchSpace("big", root)
    with pytest.raises(SpaceError, match=r"^space 'joint': its description is "):
        compose("joint", big=root, small=SearchSpace("s", ValueChoice(1)), budget=Budget(1))
    assert time.process_time() - start < 2


def test_what_is_just_small_enough_can_be_counted_and_read_back():
    deep = SearchSpace("deep", nested(64, lambda n: Group({"x": n})))
    assert SearchSpace.from_json(deep.to_json()).digest == deep.digest
    step = Operation("block", "conv", {"stride": ValueChoice(1, 2)})
    edge = SearchSpace("edge", _edge(step))
    assert SearchSpace.from_json(edge.to_json()).size() == 2
    wide = SearchSpace("wide", Repeat(ValueChoice(1, 2), (9_999,)))
    assert wide.size() == 2**9_999
    genotype = wide.sample(seed=0)
    assert wide.unrank(wide.rank(genotype)) == genotype


def _edge(node):
    for _ in range(63):
        node = Group({"x": node})
    return node


def test_constraints_that_could_not_be_counted_in_time_are_refused():
    root = Group({f"x{i}": ValueChoice(*range(4)) for i in range(2000)})
    limits = [Limit({"*": [key]}, at_most=700) for key in (0, 1, 2)]
    start = time.process_time()
    with pytest.raises(SpaceError, match="members cannot be counted"):
        SearchSpace("s", root, constraints=limits)
    assert time.process_time() - start < 30


def test_shared_choices_that_decide_too_much_are_told_where_functions_are_counted():
    flips = {
        f"f{i}": Operation("augmentation", "flip", {"p": Ref(f"p{i}")}, neutral={"p": 0})
        for i in range(20)
    }
    space = SearchSpace(
        "s", Shared({f"p{i}": ValueChoice(0, 1, 2) for i in range(20)}, Group(flips))
    )
    assert space.size() == 3**20
    with pytest.raises(SpaceError, match="cannot be counted"):
        space.distinct_size()
