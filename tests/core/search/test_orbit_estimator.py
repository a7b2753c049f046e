"""Probabilities that learn from predictions averaged over an operation."""

from __future__ import annotations

import math

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


def asked(start, orbits, loss, key, steps=1, **parameters):
    """Take steps with all layers at one key; return the estimator and what was measured."""
    settings = SearchSettings(epochs=1, weights_lr=0.1)
    state = start(orbits, GumbelSearcher, settings=settings)
    estimator = OrbitEstimator(orbits, **parameters)
    genotype = orbits.decide(lambda choice: choice.keys[key])
    told = []
    for _ in range(steps):
        outcome, problem = take_step(state, Decision(genotype), settings, loss, estimator.ask)
        assert not problem
        told.append(outcome.measured)
        state.step += 1
    return estimator, told


def paths(measured):
    return {name.split(" ")[2].split("=")[0] for name in measured if name.startswith("orbit of ")}


@pytest.mark.parametrize("key", [0, 1])
def test_operations_have_their_turn_by_what_they_declare_whether_they_act_or_not(
    start, orbits, loss, key
):
    _, told = asked(start, orbits, loss, key, steps=3, changes=["side"])
    assert [paths(measured) for measured in told] == [
        {"augment/mirror/p"}, {"augment/negative/p"}, {"augment/mirror/p"},
    ]  # fmt: skip
    assert {measured["operations in turn"] for measured in told} == {2.0}
    assert told[0]["loss of knowing nothing"] == pytest.approx(math.log(2))
    _, told = asked(start, orbits, loss, key, steps=4)
    assert [path for measured in told for path in paths(measured)] == [
        f"augment/{name}/p" for name in OPERATIONS if name != "untold"
    ]
    _, (measured,) = asked(start, orbits, loss, key, changes=["texture"])
    assert paths(measured) == {"augment/grain/p"}
    _, (measured,) = asked(start, orbits, loss, key, changes=["size"])
    assert measured == {}


def test_what_was_measured_is_the_loss_of_mixed_predictions(start, orbits, loss):
    _, (measured,) = asked(start, orbits, loss, 0)
    name = "orbit of augment/mirror/p={}, {} first"
    assert measured[name.format("0", "plain")] == measured[name.format("alone", "plain")]
    half = measured[name.format("0.5", "plain")]
    assert half == pytest.approx(measured[name.format("0.5", "moved")], abs=1e-6)
    # However often it acts, the look that is known best counts for half.
    assert measured[name.format("1", "plain")] == half


def told_of(losses, *, plain=0.7, moved=0.7, turns=1.0):
    """Return what a step measures of `mirror`, the plain look first."""
    name = "orbit of augment/mirror/p={}, {} first"
    measured = {name.format(f"{p:g}", "plain"): loss for p, loss in zip(P, losses, strict=True)}
    measured |= {name.format(f"{p:g}", "moved"): 9.0 for p in P}
    measured |= {name.format("alone", "plain"): plain, name.format("alone", "moved"): moved}
    return {**measured, "operations in turn": turns, "loss of knowing nothing": 0.8}


def gradient(orbits, measured, **parameters):
    """Return the gradients of the logits of `mirror` and of `grain`."""
    genotype = orbits.decide(lambda choice: choice.keys[1])
    theta = {name: torch.tensor(THETA, requires_grad=True) for name in ("mirror", "grain")}
    of_keys = {f"augment/{name}/p": torch.log_softmax(t, 0) for name, t in theta.items()}
    log_p = {path: every[1] for path, every in of_keys.items()}
    outcome = Outcome(genotype, 0, validation_loss=0.5, improvement=0.1, measured=measured)
    estimator = OrbitEstimator(orbits, **parameters)
    surrogate = estimator.surrogate(Sample(genotype, {}, log_p, of_keys), outcome)
    surrogate.backward()
    return theta["mirror"].grad, theta["grain"].grad


THETA = (0.3, -0.2, 0.5, 0.1)


def expected(losses, factor):
    theta = torch.tensor(THETA, requires_grad=True)
    (factor * (torch.softmax(theta, 0) * torch.tensor(losses)).sum()).backward()
    return theta.grad


@pytest.mark.parametrize(("weight", "turns"), [(1.0, 1.0), (10.0, 1.0), (2.0, 3.0)])
def test_the_gradient_is_that_of_the_expected_loss(orbits, weight, turns):
    losses = (0.7, 0.6, 0.4, 0.9)
    measured = told_of(losses, turns=turns)
    found, other = gradient(orbits, measured, tolerance=0.0, weight=weight)
    torch.testing.assert_close(found, expected(losses, weight * turns))
    assert other is None  # the look-ahead's baseline knows nothing yet


def test_a_share_of_what_is_known_is_tolerated_by_how_much_acts(orbits):
    losses = (0.7, 0.7, 0.7, 0.7)
    found, _ = gradient(orbits, told_of(losses, plain=0.4), tolerance=0.5, weight=1.0)
    torch.testing.assert_close(found, expected((0.7, 0.65, 0.6, 0.5), 1.0))


def test_nothing_is_tolerated_where_nothing_is_known(orbits):
    losses = (0.9, 0.8, 0.7, 0.7)
    found, _ = gradient(orbits, told_of(losses, plain=0.9, moved=0.95), tolerance=0.5, weight=1.0)
    torch.testing.assert_close(found, expected(losses, 1.0))


def test_where_the_moved_look_is_known_better_it_comes_first(orbits):
    measured = told_of((0.9, 0.8, 0.6, 0.6), plain=0.9, moved=0.1)
    found, _ = gradient(orbits, measured, tolerance=0.0, weight=1.0)
    torch.testing.assert_close(found, expected((9.0, 9.0, 9.0, 9.0), 1.0))


def test_which_look_is_known_better_is_a_state(orbits):
    estimator = OrbitEstimator(orbits)
    estimator._learned("augment/mirror/p", told_of((0.7,) * 4, plain=0.9, moved=0.1))
    other = OrbitEstimator(orbits)
    other.load_state_dict(estimator.state_dict())
    assert other.state_dict() == estimator.state_dict()
    assert other.state_dict()["worse"]["augment/mirror/p"] < 0


def test_it_finds_what_keeps_the_label_and_what_destroys_it(start, orbits, loss):
    settings = SearchSettings(epochs=80, warmup_epochs=20, weights_lr=0.05)
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
