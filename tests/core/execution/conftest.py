"""A run bound to the toy dataset, and trials of its space."""

from __future__ import annotations

import pytest

from medpipe_core.config import resolve
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.local_executor import LocalExecutor
from medpipe_core.execution.trial import Fidelity, Trial


@pytest.fixture
def context(toy_configuration, registry):
    return bound(toy_configuration, registry)


@pytest.fixture
def development(toy_configuration, registry):
    return make_dataset(toy_configuration, registry).development()


@pytest.fixture
def trial_of(registry):
    """Return a function that makes a trial of the toy space: `trial_of(number, epochs=…, …)`."""
    space = registry.space("toy", width=3)

    def make(number=0, *, epochs=1, purpose="evaluate", **more):
        return Trial(space.sample(seed=number), Fidelity(epochs), 0, purpose, **more)

    return make


@pytest.fixture(scope="session")
def in_two(registry, toy_values):
    """An executor of two processes, which all tests share: a start takes seconds."""
    with LocalExecutor(bound(resolve(toy_values, registry), registry), workers=2) as executor:
        yield executor


def bound(configuration, registry):
    return RunContext.of(configuration, registry, make_dataset(configuration, registry).card)
