"""A step on a GPU waits for the device once, at its end; a CPU stands in for one here."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.overrides import TorchFunctionMode

from medpipe_core import Decision
from medpipe_core.search import GumbelSearcher, search
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.search.training_gradient import NOT_FINITE

SETTINGS = SearchSettings(epochs=1, weights_lr=0.05, grad_clip=0.1)
ESTIMATORS = ("gate", "score", "agreement", "look-ahead", "orbit")
WAITING = {
    torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.cpu, torch.Tensor.numpy,
    torch.Tensor.__bool__, torch.Tensor.__float__, torch.Tensor.__int__, torch.nonzero,
    torch.Tensor.nonzero, torch.equal,
}  # fmt: skip


class Waits(TorchFunctionMode):
    """Counts what would wait for a device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in WAITING:
            self.found.append(func)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    for module in ("probe", "step"):
        monkeypatch.setattr(f"medpipe_core.search.{module}.waits_once", lambda state: True)


def plain(space):
    """Return a member that does not augment: augmentations are drawn on the CPU anyway."""
    keys = {"layer": "conv"}
    return space.decide(lambda choice: keys.get(choice.path, choice.keys[0]))


def taken(space, start, loss, estimator, settings=SETTINGS, ask=True):
    state = start(space, GumbelSearcher, settings=settings, estimator=estimator)
    gates = {path: torch.ones((), requires_grad=True) for path in plain(space)}
    decision = Decision(plain(space), gates)
    state.supernet.augment = lambda volumes, *_, **__: volumes
    with Waits() as waits:
        outcome, problem = take_step(
            state, decision, settings, loss, state.searcher.ask if ask else None
        )
    return state, outcome, problem, waits.found


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_numbers_and_weights_are_those_of_a_step_that_looks_at_once(
    space, start, loss, estimator, monkeypatch, request
):
    at_once, outcome, problem, _ = taken(space, start, loss, estimator)
    assert not problem
    request.getfixturevalue("as_on_a_gpu")
    late, found, problem, waits = taken(space, start, loss, estimator)
    assert not problem
    assert found == outcome
    kept = late.supernet.state_dict()
    assert all(torch.equal(v, kept[name]) for name, v in at_once.supernet.state_dict().items())
    assert waits == [torch.Tensor.tolist]


def test_a_step_that_nobody_asks_about_waits_once_too(space, start, loss, as_on_a_gpu):
    _, outcome, problem, waits = taken(space, start, loss, "look-ahead", ask=False)
    assert not problem
    assert math.isfinite(outcome.train_loss)
    assert waits == [torch.Tensor.tolist]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("ask", [True, False])
def test_a_loss_that_is_not_finite_steps_no_weight(space, start, loss, estimator, ask, as_on_a_gpu):
    state = start(space, GumbelSearcher, settings=SETTINGS, estimator=estimator)
    weights = copy.deepcopy(dict(state.supernet.named_parameters()))
    gates = {path: torch.ones((), requires_grad=True) for path in plain(space)}
    _, problem = take_step(
        state, Decision(plain(space), gates), SETTINGS,
        lambda logits, labels: loss(logits, labels) * math.nan,
        state.searcher.ask if ask else None,
    )  # fmt: skip
    assert problem.startswith(NOT_FINITE)
    for name, value in state.supernet.named_parameters():
        assert torch.equal(value, weights[name]), name


def test_a_clean_loss_that_is_not_finite_steps_no_weight(space, start, loss, as_on_a_gpu):
    calls = []

    def breaks(logits, labels):
        calls.append(None)
        return loss(logits, labels) * (math.inf if len(calls) == 2 else 1)

    state = start(space, GumbelSearcher, settings=SETTINGS, estimator="look-ahead")
    weights = copy.deepcopy(dict(state.supernet.named_parameters()))
    decision = Decision(plain(space))
    _, problem = take_step(state, decision, SETTINGS, breaks, state.searcher.ask)
    assert problem == NOT_FINITE
    for name, value in state.supernet.named_parameters():
        assert torch.equal(value, weights[name]), name


def test_a_search_after_such_a_step_goes_on(space, start, loss, as_on_a_gpu):
    calls = []

    def breaks(logits, labels):
        calls.append(None)
        return loss(logits, labels) * (math.nan if len(calls) == 1 else 1)

    settings = SearchSettings(epochs=2, weights_lr=0.05)
    state = start(space, GumbelSearcher, settings=settings)
    candidates = search(state, settings=settings, loss=breaks, score=lambda *_: {"score": 0.5})
    assert candidates
    assert all(value.isfinite().all() for value in state.supernet.state_dict().values())
