from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Genotype, MedpipeError, SearchSpace

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


def test_nesting_beyond_reason_is_refused():
    node: dict = {"values": [1]}
    for _ in range(200):
        node = {"all_of": {"x": node}}
    with pytest.raises(MedpipeError, match="deeper than 64"):
        SearchSpace.from_json(json.dumps({**SPACE, "root": node}))
