"""Probabilities that learn from predictions averaged over an operation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core import Augmentation, Decision, Group, Operation, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import GumbelSearcher, Sample, search
from medpipe_core.search.orbit_estimator import OrbitEstimator, mixed_losses
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.testing import EstimatorContract

P = (0.0, 0.25, 0.5, 1.0)


class Mirror(Augmentation):
    """Mirrors along an axis that the label knows nothing of."""

    changes = frozenset({"side"})

    def draw(self, count, generator):
        return torch.zeros(count)

    def apply(self, volumes, _):
        return volumes.flip(-1)


class Negative(Mirror):
    """Turns bright into dark, and with it the label."""

    changes = frozenset({"side"})

    def apply(self, volumes, _):
        return -volumes


class Grain(Mirror):
    changes = frozenset({"texture"})


class Untold(Mirror):
    changes = None


class Turned(Mirror):
    changes = frozenset({"side", "content"})


OPERATIONS = {"mirror": Mirror, "negative": Negative, "grain": Grain, "untold": Untold,
              "turned": Turned}  # fmt: skip


class Shelf:
    def __init__(self, others):
        self._others = others

    def factory(self, kind, name):
        return OPERATIONS.get(name) or self._others.factory(kind, name)

    def origin(self, kind, name):
        return ("shelf", "1.0")

    def versions(self):
        return {"shelf": "1.0"}


def layer(name):
    return Operation("augmentation", name, {"p": ValueChoice(*P)}, neutral={"p": 0.0})


@pytest.fixture
def orbits(space):
    """The operations above, before a layer that sees volumes."""
    root = Group(
        {
            "augment": Group({name: layer(name) for name in OPERATIONS}),
            "stem": Operation("block", "conv", {}),
        }
    )
    return SearchSpace("orbits", root, catalogue=Shelf(space.catalogue))


class TestOrbit(EstimatorContract):
    estimator = "medpipe_core.search.orbit_estimator:OrbitEstimator"


def by_hand(plain, moved, labels, share):
    """Return the loss in double precision, at the best of many temperatures."""
    losses = []
    for temperature in np.geomspace(0.1, 10**1.5, 400):
        one, other = (torch.softmax(z.double() / temperature, 1) for z in (plain, moved))
        mixed = (1 - share) * one + share * other
        losses.append(-float(mixed[torch.arange(len(labels)), labels].log().mean()))
    return min(losses)


@given(seed=st.integers(0, 2**20), share=st.sampled_from(P), scale=st.sampled_from([0.1, 1, 30]))
def test_a_mixture_is_judged_at_the_temperature_that_is_best_for_it(seed, share, scale):
    generator = torch.Generator().manual_seed(seed)
    plain, moved = scale * torch.randn(2, 12, 3, generator=generator)
    labels = torch.randint(3, (12,), generator=generator)
    (found,) = mixed_losses(plain, moved, labels, [share])
    least = by_hand(plain, moved, labels, share)
    assert least - 1e-4 <= float(found) <= least + 0.02


def test_averaging_helps_where_two_looks_err_independently_and_harms_where_one_is_wrong():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    truth = torch.nn.functional.one_hot(labels, 2).float()
    looks = truth + torch.randn(2, 200, 2, generator=generator)
    helped = mixed_losses(3 * looks[0], 3 * looks[1], labels, P)
    assert helped[2] < helped[0] - 0.02
    assert helped[2] < helped[3] - 0.02
    harmed = mixed_losses(3 * looks[0], -3 * looks[0], labels, P)
    assert harmed[2] > harmed[1] > harmed[0]


def asked(start, orbits, loss, **parameters):
    """Take a step with all layers at their second key; return what was measured."""
    state = start(orbits, GumbelSearcher, settings=SearchSettings(epochs=1, weights_lr=0.1))
    estimator = OrbitEstimator(orbits, **parameters)
    genotype = orbits.decide(lambda choice: choice.keys[1])
    outcome, problem = take_step(
        state, Decision(genotype), SearchSettings(epochs=1), loss, estimator.ask
    )
    assert not problem
    return state, outcome


def test_operations_are_asked_about_by_what_they_declare(start, orbits, loss):
    _, outcome = asked(start, orbits, loss)
    paths = {name.split(" ")[-1].split("=")[0] for name in outcome.measured}
    assert paths == {"augment/mirror/p", "augment/negative/p"}
    assert len(outcome.measured) == 2 * len(P)
    _, outcome = asked(start, orbits, loss, changes=["texture"])
    paths = {name.split(" ")[-1].split("=")[0] for name in outcome.measured}
    assert paths == {"augment/grain/p"}


def test_layers_that_do_not_act_are_asked_about_too(start, orbits, loss):
    state = start(orbits, GumbelSearcher)
    genotype = orbits.decide(lambda choice: choice.keys[0])
    outcome, _ = take_step(
        state, Decision(genotype), SearchSettings(epochs=1), loss, OrbitEstimator(orbits).ask
    )
    assert len(outcome.measured) == 2 * len(P)


def test_the_margin_is_taken_off_by_how_much_acts(start, orbits, loss):
    _, without = asked(start, orbits, loss, margin=0.0)
    _, given_one = asked(start, orbits, loss, margin=0.5)
    for p in P:
        name = f"orbit of augment/mirror/p={f'{p:g}'}"
        assert given_one.measured[name] == pytest.approx(without.measured[name] - 0.5 * p, abs=1e-5)


def test_the_gradient_is_that_of_the_expected_loss(orbits):
    losses = dict(zip(P, (0.7, 0.6, 0.4, 0.9), strict=True))
    measured = {f"orbit of augment/mirror/p={p:g}": value for p, value in losses.items()}
    theta = torch.tensor([0.3, -0.2, 0.5, 0.1], requires_grad=True)
    other = torch.tensor([0.3, -0.2, 0.5, 0.1], requires_grad=True)
    genotype = orbits.decide(lambda choice: choice.keys[1])
    of_keys = {
        "augment/mirror/p": torch.log_softmax(theta, 0),
        "augment/grain/p": torch.log_softmax(other, 0),
    }
    log_p = {path: every[1] for path, every in of_keys.items()}
    estimator = OrbitEstimator(orbits)
    outcome = Outcome(genotype, 0, validation_loss=0.5, improvement=0.1, measured=measured)
    estimator.surrogate(Sample(genotype, {}, log_p, of_keys), outcome).backward()
    truth = torch.tensor([0.3, -0.2, 0.5, 0.1], requires_grad=True)
    (torch.softmax(truth, 0) * torch.tensor([0.7, 0.6, 0.4, 0.9])).sum().backward()
    torch.testing.assert_close(theta.grad, truth.grad)
    assert other.grad is None  # the look-ahead's baseline knows nothing yet


def test_it_finds_what_keeps_the_label_and_what_destroys_it(start, orbits, loss):
    settings = SearchSettings(epochs=60, warmup_epochs=20, warmup="plain", weights_lr=0.05)
    state = start(orbits, GumbelSearcher, settings=settings, lr=0.05, estimator="orbit")
    search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.0})
    found = state.searcher.probabilities()
    assert found["augment/negative/p"]["0"] > 0.8
    assert found["augment/mirror/p"]["0"] < 0.2


def test_nothing_augments_in_a_plain_warm_up(start, orbits, loss, journal):
    settings = SearchSettings(epochs=4, warmup_epochs=2, warmup="plain")
    state = start(orbits, GumbelSearcher, settings=settings)
    drawn = []
    real = state.supernet.augment

    def augment(volumes, decision, **more):
        drawn.append(any(key != "0" for key in decision.genotype.choices.values()))
        return real(volumes, decision, **more)

    state.supernet.augment = augment
    search(state, settings=settings, loss=loss, score=lambda *_: {"score": 0.0}, emit=journal)
    steps = settings.warmup_epochs * len(state.training)
    assert not any(drawn[:steps])
    assert any(drawn[steps:])
    plain = orbits.decide(lambda choice: choice.keys[0])
    assert {e["genotype"] for e in journal.of("search-step")[:steps]} == {plain.digest}
