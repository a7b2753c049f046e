"""Values on a command line and dotted keys."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from medpipe_core.config import dotted_keys, yaml_values
from medpipe_core.config.settings import Keys

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner)
)
names = st.text("abcd", min_size=1, max_size=3)
leaves = st.integers() | st.text("xyz", max_size=2)
branches = st.dictionaries(names, leaves | st.dictionaries(names, leaves, min_size=1, max_size=3))
trees = st.dictionaries(names, leaves | branches.filter(bool), max_size=4)


@given(values)
@example("\n")
def test_a_written_value_is_read_back_and_stands_on_one_line(value):
    text = yaml_values.write(value)
    assert "\n" not in text
    assert yaml_values.read(text) == value
    assert yaml_values.read_value(text) == value


@given(scalars)
def test_what_is_written_means_the_same_to_other_yaml_readers(value):
    assert yaml.safe_load(yaml_values.write(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("[a, b]", ["a", "b"]),
        ("null", None),
        ("", None),
        ("'3'", "3"),
    ],
)
def test_a_value_is_read_without_the_traps_of_yaml_1_1(text, value):
    read = yaml_values.read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["scans #2", "a: b", "&a [*a]", "*.nii", "- a", "%x", "| y", "#3"])
def test_on_a_command_line_the_signs_of_yaml_are_signs_like_any_other(text):
    assert yaml_values.read_value(text) == text


@pytest.mark.parametrize("text", ["[a] # b", "[a #b]", "'a' b", "[&a 1, *a]", "{a: !x 1}", '"'])
def test_a_bracket_or_quote_on_a_command_line_holds_plain_values_to_its_end(text):
    with pytest.raises(ValueError, match=r"\w"):
        yaml_values.read_value(text)


@pytest.mark.parametrize("text", ["[a", "{a: 1, a: 2}", "!!python/object:os.system x", "a: b: c"])
def test_what_is_no_plain_value_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        yaml_values.read(text)


@given(trees)
def test_nesting_undoes_flattening(tree):
    assert dotted_keys.nest(dotted_keys.flatten(tree)) == tree


def test_a_key_cannot_be_a_value_and_a_group():
    with pytest.raises(ValueError, match=r"a\.b.*one value"):
        dotted_keys.nest({"a": 1, "a.b": 2})


def test_every_key_has_a_description_and_a_default():
    described = list(dotted_keys.walk(Keys))
    assert {"seed", "search.epochs", "evaluate.top_k", "data.root"} <= {k.name for k in described}
    for key in described:
        assert key.description, key.name
        assert key.default is not dotted_keys.REQUIRED, key.name
        assert "\n" not in key.description
