"""Small spaces, and a strategy for random nested ones."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from medpipe_core import Group, Operation, OperationChoice, Repeat, SearchSpace, ValueChoice

NAMES = ["a", "b", "c", "d"]


def choices_of_values():
    return st.integers(1, 3).map(lambda n: ValueChoice(*range(n)))


def operations():
    def build(kind, choices, can_be_neutral):
        parameters = dict(zip(["p", "left", "right"], choices, strict=False))
        neutral = {"p": 0} if can_be_neutral and "p" in parameters else None
        return Operation(kind, "op", {"fixed": 7, **parameters}, neutral)

    return st.builds(
        build,
        st.sampled_from(["augmentation", "block"]),
        st.lists(choices_of_values(), max_size=3),
        st.booleans(),
    )


def nodes():
    def compound(children):
        named = st.lists(children, min_size=1, max_size=3).map(
            lambda nodes: dict(zip(NAMES, nodes, strict=False))
        )
        return st.one_of(
            named.map(Group),
            named.map(OperationChoice),
            st.builds(
                Repeat,
                children,
                st.sampled_from([(0, 1), (1,), (2, 1), (0, 2)]),
            ),
        )

    return st.recursive(operations(), compound, max_leaves=5)


def spaces(largest=3000):
    named = st.dictionaries(st.sampled_from(NAMES), nodes(), min_size=1, max_size=3)
    return named.map(lambda parts: SearchSpace("random", Group(parts))).filter(
        lambda space: space.size() <= largest
    )


@pytest.fixture
def conditional():
    """Three members under `plain`, twelve under `deep`."""
    deep = Group({"one": ValueChoice(1, 2, 3), "two": ValueChoice("x", "y", "z", "w")})
    return SearchSpace(
        "conditional",
        Group({"net": OperationChoice({"plain": ValueChoice(1, 2, 3), "deep": deep})}),
    )
