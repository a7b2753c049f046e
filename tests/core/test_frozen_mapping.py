from __future__ import annotations

import copy
import pickle

import pytest

from medpipe_core.frozen_mapping import FrozenMapping


@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_is_equal_and_in_the_same_order(travel):
    frozen = FrozenMapping({"b": [1], "a": {"c": 2}})
    again = travel(frozen)
    assert again == frozen == {"b": [1], "a": {"c": 2}}
    assert list(again) == ["b", "a"]
    assert isinstance(again, FrozenMapping)


def test_a_deep_copy_shares_nothing_that_can_change():
    frozen = FrozenMapping({"a": [1]})
    copy.deepcopy(frozen)["a"].append(2)
    assert frozen == {"a": [1]}


def test_it_cannot_be_changed_from_inside_or_through_what_it_was_made_of():
    source = {"a": 1}
    frozen = FrozenMapping(source)
    source["a"] = 2
    with pytest.raises(TypeError):
        frozen["a"] = 3
    with pytest.raises(AttributeError, match="immutable"):
        frozen._items = {}
    with pytest.raises(AttributeError, match="immutable"):
        del frozen._items
    assert frozen == {"a": 1} != {"a": 2}
    assert (frozen["a"], len(frozen), "a" in frozen, frozen.get("b")) == (1, 1, True, None)
