from __future__ import annotations

import math
import random

import pytest
import torch

from medpipe_core import Group, Outcome, SearchSpace, ValueChoice
from medpipe_core.search import GumbelSearcher, Sample
from medpipe_core.search.registered_estimator import make_estimator
from medpipe_core.search.score_function import Baseline

SPACE = SearchSpace(
    "small", Group({"network": ValueChoice("a", "b", "c"), "augment": ValueChoice(0, 1)})
)
THETA = {"network": (0.3, -0.2, 0.5), "augment": (0.1, -0.4)}


def leaves():
    return {p: torch.tensor(v, dtype=torch.float64, requires_grad=True) for p, v in THETA.items()}


def sample(theta, genotype):
    log_p = {
        path: torch.log_softmax(theta[path], 0)[SPACE.choices[path].keys.index(key)]
        for path, key in genotype.choices.items()
    }
    return Sample(genotype, {}, log_p)


def enumerated():
    """Return every genotype with its probability."""
    theta = leaves()
    for genotype in map(SPACE.unrank, range(SPACE.size())):
        yield genotype, math.exp(sum(p.item() for p in sample(theta, genotype).log_p.values()))


def fixed(estimator, **means):
    """Give an estimator baselines of a known mean and of deviation 1."""
    estimator.load_state_dict(
        {name: {"count": 50, "mean": mean, "square": 1.0} for name, mean in means.items()}
    )


def rewards(seed):
    rng = random.Random(seed)
    return {genotype: rng.uniform(-1, 1) for genotype, _ in enumerated()}


@pytest.mark.parametrize("baseline", [0.0, -0.4, 0.9])
def test_the_score_function_is_unbiased_whatever_the_baseline(baseline):
    loss, agreement = rewards(1), rewards(2)
    truth = leaves()
    for genotype, _ in enumerated():
        log_p = sample(truth, genotype).log_p
        # Each kind of choice descends the expectation of its own figure.
        p = torch.exp(log_p["network"] + log_p["augment"])
        (p * loss[genotype]).backward(inputs=[truth["network"]], retain_graph=True)
        (p * -agreement[genotype]).backward(inputs=[truth["augment"]])

    theta = leaves()
    for genotype, probability in enumerated():
        estimator = make_estimator("agreement", SPACE)
        fixed(estimator, validation=baseline, worth=baseline)
        told = Outcome(
            genotype,
            0,
            validation_loss=loss[genotype],
            agreement=agreement[genotype],
            validated=frozenset({"network"}),
        )
        (probability * estimator.surrogate(sample(theta, genotype), told)).backward()
    for path in theta:
        torch.testing.assert_close(theta[path].grad, truth[path].grad)


def test_each_choice_follows_its_own_reward():
    genotype = SPACE.unrank(0)
    for estimator, field in (("agreement", "agreement"), ("look-ahead", "improvement")):
        made = make_estimator(estimator, SPACE)
        fixed(made, validation=0.0, worth=0.0)
        theta = leaves()
        told = Outcome(
            genotype, 0, validation_loss=1.0, validated=frozenset({"network"}), **{field: 1.0}
        )
        made.surrogate(sample(theta, genotype), told).backward()
        network, augment = (
            theta[path].grad[SPACE.choices[path].keys.index(genotype[path])] for path in THETA
        )
        # A large loss makes the network's key less likely, a useful step the augmentation's more.
        assert network > 0 > augment


def test_without_a_reward_of_their_own_other_choices_stay():
    made = make_estimator("score", SPACE)
    fixed(made, validation=0.0, worth=0.0)
    theta = leaves()
    told = Outcome(SPACE.unrank(0), 0, validation_loss=1.0, validated=frozenset({"network"}))
    made.surrogate(sample(theta, SPACE.unrank(0)), told).backward()
    assert theta["network"].grad is not None
    assert theta["augment"].grad is None


def test_the_first_outcomes_say_nothing_yet():
    made = make_estimator("score", SPACE)
    told = Outcome(SPACE.unrank(0), 0, validation_loss=1.0, validated=frozenset(THETA))
    first = [made.surrogate(sample(leaves(), SPACE.unrank(0)), told) for _ in range(3)]
    assert [surrogate is None for surrogate in first] == [True, True, False]


def test_a_baseline_is_the_mean_of_what_came_before():
    baseline = Baseline()
    for reward in (1.0, 3.0):
        assert baseline.advantage(reward) is None
    assert baseline.advantage(4.0) == pytest.approx(2.0)  # (4 − 2) / 1
    # The mean is 8/3 now, the variance 14/9.
    assert baseline.advantage(0.0) == pytest.approx(-8 / 3 / math.sqrt(14 / 9))


def test_an_advantage_is_bounded_and_a_constant_reward_has_none():
    baseline = Baseline()
    assert [baseline.advantage(2.0) for _ in range(4)][2:] == [0.0, 0.0]
    assert baseline.advantage(1e9) == 3.0


def test_a_baseline_forgets():
    baseline = Baseline(decay=0.5)
    for _ in range(60):
        baseline.advantage(100.0)
    for reward in (0.0, 1.0) * 30:
        baseline.advantage(reward)
    assert abs(baseline.advantage(0.5)) < 1


@pytest.mark.parametrize("name", ["gate", "score", "agreement", "look-ahead"])
def test_a_searcher_with_any_estimator_goes_on_from_its_state(name):
    def drive(searcher, steps):
        said = []
        for step in steps:
            decision = searcher.decide(step)
            number = (step * 7 % 5) / 5 + len(decision.genotype.digest) * 0
            searcher.observe(
                Outcome(
                    decision.genotype,
                    step,
                    validation_loss=number,
                    gate_gradients=dict.fromkeys(decision.gates, number),
                    validated=frozenset({"network"}),
                    agreement=-number,
                    improvement=number,
                )
            )
            said.append(decision.genotype.digest)
        return said, searcher.state_dict()

    whole = GumbelSearcher(SPACE, seed=1, steps=20, lr=0.1, estimator=name)
    half = GumbelSearcher(SPACE, seed=1, steps=20, lr=0.1, estimator=name)
    other = GumbelSearcher(SPACE, seed=1, steps=20, lr=0.1, estimator=name)
    drive(half, range(9))
    other.load_state_dict(half.state_dict())
    said, state = drive(whole, range(20))
    said_on, state_on = drive(other, range(9, 20))
    assert said[9:] == said_on
    for path in THETA:
        assert torch.equal(state["theta"][path], state_on["theta"][path])
    assert state["estimator"] == state_on["estimator"]


def test_gates_are_there_for_estimators_that_need_them_alone():
    for name, has in (("gate", True), ("score", False), ("agreement", False)):
        decision = GumbelSearcher(SPACE, seed=0, steps=1, estimator=name).decide(0)
        assert bool(decision.gates) == has
