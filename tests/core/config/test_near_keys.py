"""A key that a group does not have is told with those that it has."""

from __future__ import annotations

import pytest

from medpipe_core.config import ConfigurationError, resolve
from medpipe_core.space import Group, SearchSpace, ValueChoice


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("space.budget.multiply_adds", "Keys of space=toy: space.shifts, space.width."),
        ("space.widht", "Did you mean 'space.width'"),
        ("searcher.epochs", "Did you mean 'search.epochs'"),
    ],
)
def test_what_is_near_or_what_there_is_stands_behind_an_unknown_key(registry, key, words):
    given = {"space": "toy", "searcher": "random", "dataset": "toy", key: 3}
    with pytest.raises(ConfigurationError) as caught:
        resolve(given, registry)
    (problem,) = caught.value.problems
    assert problem.startswith(f"no key '{key}'.")
    assert words in problem


def test_a_space_without_keys_says_so(registry):
    bare = registry.adding(
        "space", "bare", lambda: SearchSpace("bare", Group({"x": ValueChoice(1, 2)}))
    )
    with pytest.raises(ConfigurationError, match=r"'space\.budget\.parameters'. space=bare takes"):
        resolve(
            {"space": "bare", "searcher": "random", "dataset": "toy", "space.budget.parameters": 3},
            bare,
        )
