"""Needs by name tell what an estimator of its own finds out, and old searchers still get them."""

from __future__ import annotations

import copy

import pytest
import torch

from medpipe_core import Decision
from medpipe_core.computing import Computing
from medpipe_core.search import (
    NEEDS,
    PROBE,
    GumbelSearcher,
    Outcome,
    RandomSearcher,
    asking_for,
    search,
)
from medpipe_core.search.registered_estimator import CORE, make_estimator
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step

SETTINGS = SearchSettings(epochs=1, weights_lr=0.05, grad_clip=0.1)


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize("name", CORE)
def test_an_estimator_asks_for_what_its_needs_name(space, start, loss, name, micro_batch):
    told = []
    for by_name in (True, False):
        computing = Computing(torch.device("cpu"), micro_batch=micro_batch)
        state = start(space, RandomSearcher, settings=SETTINGS, computing=computing)
        estimator = make_estimator(name, space)
        ask = asking_for(estimator.needs) if by_name else estimator.ask
        for step in range(3):
            genotype = space.sample(seed=step)
            gates = {path: torch.ones((), requires_grad=True) for path in genotype}
            outcome, problem = take_step(state, Decision(genotype, gates), SETTINGS, loss, ask)
            assert not problem
            assert outcome.validation_loss is not None
            told.append(outcome)
        told.append(copy.deepcopy(state.supernet.state_dict()))
    *by_name, weights = told[:4]
    *by_itself, other = told[4:]
    assert by_name == by_itself
    assert all(torch.equal(value, other[key]) for key, value in weights.items())


class Wrapping(RandomSearcher):
    """A searcher as packages had them before there were probes: it hands on what it is told."""

    def __init__(self, space, **given):
        super().__init__(space, **given)
        self.inner = GumbelSearcher(space, estimator="look-ahead", lr=0.1, **given)
        self.needs = self.inner.needs

    def decide(self, step):
        return self.inner.decide(step)

    def observe(self, outcome):
        self.inner.observe(outcome)


def test_a_searcher_that_hands_on_the_needs_of_another_is_told_all_of_them(space, start, loss):
    settings = SearchSettings(epochs=2)
    theta = []
    for kind, given in ((Wrapping, {}), (GumbelSearcher, {"lr": 0.1})):
        state = start(space, kind, settings=settings, **given)
        search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.5})
        theta.append(getattr(state.searcher, "inner", state.searcher).state_dict()["theta"])
    assert all(torch.equal(value, theta[1][path]) for path, value in theta[0].items())
    assert any(value.any() for value in theta[0].values())


def test_a_searcher_that_needs_nothing_is_told_the_training_loss_alone(space, start, loss):
    state = start(space, RandomSearcher, settings=SETTINGS)
    decision = Decision(space.sample(seed=0))
    for needs in (frozenset(), frozenset({PROBE})):
        outcome, _ = take_step(state, decision, SETTINGS, loss, asking_for(needs))
        assert outcome == Outcome(decision.genotype, 0, train_loss=outcome.train_loss)
    assert state.validation.number == 0
    assert {PROBE} <= NEEDS
