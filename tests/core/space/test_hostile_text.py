from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Genotype, Group, MedpipeError, SearchSpace, ValueChoice
from medpipe_core.space import GenotypeError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
GENOTYPE = {
    "format": "medpipe-genotype-1",
    "space": "s",
    "space_digest": "d",
    "provenance": {},
    "choices": {"x": "1"},
}
SPACE = {"format": "medpipe-space-1", "name": "s", "root": {"values": [1, 2]}}


@given(st.sampled_from([*GENOTYPE]), PLAIN)
def test_a_genotype_with_a_spoilt_field_is_refused_or_read(key, value):
    try:
        genotype = Genotype.from_json(json.dumps({**GENOTYPE, key: value}))
    except MedpipeError:
        return
    assert all(isinstance(text, str) for text in genotype.choices.values())


@given(st.sampled_from([*SPACE, "budget", "constraints"]), PLAIN)
def test_a_description_with_a_spoilt_field_is_refused_or_read(key, value):
    try:
        space = SearchSpace.from_json(json.dumps({**SPACE, key: value}))
    except MedpipeError:
        return
    assert space.size() >= 1


SHARED = {"shared": {"k": {"values": [1]}}, "body": {"all_of": {"x": {"ref": "k"}}}}
LIMIT = {"keys": {"x": ["1"]}, "at_least": 0, "at_most": 1, "reason": ""}


@given(st.sampled_from([*SHARED]), PLAIN)
def test_a_spoilt_scope_is_refused_or_read(key, value):
    root = {**SHARED, key: value}
    try:
        space = SearchSpace.from_json(json.dumps({**SPACE, "root": root}))
    except MedpipeError:
        return
    assert space.size() >= 1


@given(st.sampled_from([*LIMIT]), PLAIN)
def test_a_spoilt_constraint_is_refused_or_read(key, value):
    root = {"all_of": {"x": {"values": [1, 2]}}}
    spoilt = {**SPACE, "root": root, "constraints": [{**LIMIT, key: value}]}
    try:
        space = SearchSpace.from_json(json.dumps(spoilt))
    except MedpipeError:
        return
    assert space.size() >= 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"format": "medpipe-genotype-2"}',
        "1" * 5000,
        json.dumps({**SPACE, "root": {"repeat": {"values": [1]}, "counts": [10**9]}}),
    ],
)
def test_texts_that_are_nothing_of_ours_are_refused(text):
    with pytest.raises(MedpipeError):
        Genotype.from_json(text)


@pytest.mark.parametrize(("levels", "words"), [(66, "deeper than 64"), (200, "deeper than 160")])
def test_nesting_beyond_reason_is_refused(levels, words):
    node: dict = {"values": [1]}
    for _ in range(levels):
        node = {"all_of": {"x": node}}
    with pytest.raises(MedpipeError, match=words):
        SearchSpace.from_json(json.dumps({**SPACE, "root": node}))


def _space(**fields):
    return json.dumps({**SPACE, **fields})


def _at_x(node):
    return _space(root={"all_of": {"a": {"one_of": {"x": node}}}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_at_x({"values": [1, 1.0]}), r"at a/x: a ValueChoice needs distinct values"),
        (_at_x({"values": [float("nan")]}), "NaN is no number of JSON"),
        (_at_x({"values": [1]}).replace("[1]", "[1e999]"), "at a/x: inf is no plain value"),
        (_at_x({"values": [10**400]}), r"at a/x: an integer of 1329 bits is too large"),
        (_at_x({"values": [1]}).replace("[1]", f"[{'9' * 5000}]"), "not usable JSON"),
        (_at_x({"values": ["\ud800"]}), r"'\\ud800' has half of a character"),
        (_at_x({"values": [[[[[[[[[[1]]]]]]]]]]}), "at a/x: a plain value is nested deeper"),
        (_at_x({"values": [{}]}), "at a/x: .* is no plain value"),
        (_at_x({"vlues": [1]}), r"at a/x: a node cannot consist of \['vlues'\]"),
        (_at_x(None), "at a/x: a node cannot consist of 'NoneType'"),
        (_at_x({"repeat": {"values": [1]}, "counts": ["2"]}), "at a/x: Repeat counts must be"),
        (_at_x({"repeat": {"values": [1]}, "counts": [10**9]}), "at a/x: Repeat counts must be"),
        (_at_x({"repeat": {"values": []}, "counts": [1]}), "at a/x/each: a ValueChoice needs"),
        (
            _at_x({"operation": "conv", "kind": "block", "parameters": {"k": {"values": []}}}),
            "at a/x/k: a ValueChoice needs at least one value",
        ),
        (
            _at_x({"operation": "c", "kind": "block", "parameters": {}, "neutral": [1]}),
            "at a/x: operation 'c': neutral must be names with values",
        ),
        (
            _at_x({"operation": "c", "kind": "block", "parameters": {}, "neutral": {"p": [{}]}}),
            "at a/x: operation 'c': neutral p",
        ),
        ('{"format": "medpipe-space-1", "name": "s", "name": "t"}', "key 'name' is there twice"),
        (_space(name=3), "its name must be a text"),
        (_space(name="\udfff"), "has half of a character"),
        (_space(more=1), "it has 'more', which this version does not know"),
        (_space(budget={"parameters": True}), "budget: parameters must be a positive integer"),
        (_space(constraints=[{"keys": {"": [1]}}]), "constraint 1: a constraint cannot be"),
        (_space(constraints=[{**LIMIT, "keys": {"": "1"}}]), "constraint 1: '' needs a list"),
        ("[" * 500 + "]" * 500, "nested deeper than 160"),
        ("[" * 100_000, "nested too deeply|not usable JSON"),
    ],
)
def test_what_is_wrong_with_a_description_is_told_with_its_place(text, words):
    with pytest.raises(MedpipeError, match=words):
        SearchSpace.from_json(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps({**GENOTYPE, "choices": {"x": 1}}), "'choices' must map texts to texts"),
        (json.dumps({**GENOTYPE, "space": None}), "'space' must be a text"),
        (json.dumps({**GENOTYPE, "choices": {"\ud912": "1"}}), "has half of a character"),
        (json.dumps(GENOTYPE).replace('"x": "1"', '"x": "1", "x": "2"'), "key 'x' is there twice"),
        (json.dumps({**GENOTYPE, "choices": {"x": float("nan")}}), "NaN is no number"),
        (json.dumps(None), "found 'NoneType'"),
    ],
)
def test_what_is_wrong_with_a_genotype_is_told(text, words):
    with pytest.raises(GenotypeError, match=words):
        Genotype.from_json(text)


@pytest.mark.parametrize("read", [Genotype.from_json, SearchSpace.from_json])
@pytest.mark.parametrize("text", [b"{}", None, {}])
def test_what_is_no_text_is_refused_with_what_it_is(read, text):
    with pytest.raises(MedpipeError, match=f"JSON text is needed, but got a {type(text).__name__}"):
        read(text)


def test_characters_beyond_the_first_plane_are_welcome():
    again = Genotype.from_json(json.dumps({**GENOTYPE, "space": "\N{BRAIN}"}))
    assert again.space == "\N{BRAIN}"
    assert Genotype.from_json(again.to_json()) == again


@pytest.mark.parametrize("choices", [{"x": 1}, {1: "x"}, ["x"], None])
def test_a_genotype_of_anything_but_texts_cannot_be_made(choices):
    with pytest.raises(GenotypeError, match="'choices' must map texts to texts"):
        Genotype(choices, space="s", space_digest="d")


def test_a_genotype_with_a_hundred_thousand_wrong_paths_is_refused_at_once():
    names = {f"layer{i}": ValueChoice(1, 2) for i in range(100)}
    space = SearchSpace("s", Group(names))
    wrong = {f"player{i}": "1" for i in range(100_000)}
    start = time.process_time()
    with pytest.raises(MedpipeError, match="and 99990 more"):
        space.genotype(wrong)
    assert time.process_time() - start < 3
