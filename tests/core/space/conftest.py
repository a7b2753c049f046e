"""A small conditional space."""

from __future__ import annotations

import pytest

from medpipe_core import Group, OperationChoice, SearchSpace, ValueChoice


@pytest.fixture
def conditional():
    """Three members under `plain`, twelve under `deep`."""
    deep = Group({"one": ValueChoice(1, 2, 3), "two": ValueChoice("x", "y", "z", "w")})
    return SearchSpace(
        "conditional",
        Group({"net": OperationChoice({"plain": ValueChoice(1, 2, 3), "deep": deep})}),
    )
