"""What the contract of estimators lets through, and what it catches."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch

from medpipe_core.search import LookAheadEstimator
from medpipe_core.search.registered_estimator import CORE
from medpipe_core.testing import ContractError, EstimatorContract

TESTS = [n for n, _ in inspect.getmembers(EstimatorContract, callable) if n.startswith("test_")]


def held(estimator):
    return type("Held", (EstimatorContract,), {"estimator": estimator})()


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("name", CORE)
def test_the_cores_estimators_keep_it(name, test):
    getattr(held(CORE[name]), test)()


class TellsTensors(LookAheadEstimator):
    def ask(self, probe):
        return replace(super().ask(probe), improvement=probe.loss().value)


class TellsNothing(LookAheadEstimator):
    def ask(self, probe):
        probe.loss()


class ChangesWeights(LookAheadEstimator):
    def ask(self, probe):
        with torch.no_grad():
            probe.weights[0].add_(1)
        return super().ask(probe)


class ChangesTheGradient(LookAheadEstimator):
    def ask(self, probe):
        probe.weights[0].grad.mul_(-1)
        return super().ask(probe)


class LearnsWhileAsking(LookAheadEstimator):
    def ask(self, probe):
        outcome = super().ask(probe)
        self._baselines["worth"].advantage(outcome.improvement)
        return outcome


class NoGradient(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        return torch.tensor(1.0)


class DividesByADifference(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        found = super().surrogate(sample, outcome)
        change = torch.tensor(outcome.improvement)
        return None if found is None else found * (change / change)


class NaNGradient(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        return (sum(sample.log_p.values()) * 0.0).sqrt()


class Idle(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        return None


class ChangesTheOutcome(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        outcome.measured["seen"] = 1.0
        return super().surrogate(sample, outcome)


class Forgets(LookAheadEstimator):
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class StateOfObjects(LookAheadEstimator):
    def state_dict(self):
        return {"baselines": self._baselines}


class GlobalDraws(LookAheadEstimator):
    def surrogate(self, sample, outcome):
        return torch.rand(()) * sum(sample.log_p.values())


class UnknownNeed(LookAheadEstimator):
    needs = frozenset({"the weather"})


@pytest.mark.parametrize(
    ("bug", "test", "words"),
    [
        (TellsTensors, "what_it_asks_is_an_outcome_in_plain_finite_numbers", "probe.numbers"),
        (TellsNothing, "what_it_asks_is_an_outcome_in_plain_finite_numbers", "probe.outcome"),
        (ChangesWeights, "asking_changes_nothing_but_the_weights", "change no weight"),
        (ChangesTheGradient, "asking_changes_nothing_but_the_weights", "change no weight"),
        (LearnsWhileAsking, "asking_learns_nothing", "learn in `surrogate`"),
        (NoGradient, "its_surrogates_lead_to_the_logits", "no logit leads to"),
        (NaNGradient, "its_surrogates_lead_to_the_logits", "not finite"),
        (DividesByADifference, "what_does_not_differ_is_no_error", "division by a difference"),
        (Idle, "its_surrogates_lead_to_the_logits", "raise `steps`"),
        (ChangesTheOutcome, "outcomes_are_not_changed", "work on a copy"),
        (Forgets, "a_restored_estimator_goes_on_as_if_nothing_had_happened", "state_dict"),
        (StateOfObjects, "its_state_is_plain", "Baseline"),
        (GlobalDraws, "global_random_state_is_neither_used_nor_changed", "probe.generator"),
        (UnknownNeed, "it_is_made_for_a_space", "the weather"),
        (dict, "it_is_made_for_a_space", "cannot be made"),
        (lambda space: {}, "it_is_made_for_a_space", "derive it from"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_planted_bug_is_caught_and_told_in_words(bug, test, words):
    with pytest.raises(ContractError) as caught:
        getattr(held(bug), f"test_{test}")()
    assert words in str(caught.value)
