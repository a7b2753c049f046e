"""Estimators by the score function: choices are rewarded by how good what they did was."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from medpipe_core.search.estimator import Estimator
from medpipe_core.search.needs import AGREEMENT, CLEAN_VALIDATION, LOOK_AHEAD, VALIDATION_LOSS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.search.estimator import Sample
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import PathLoss, Probe
    from medpipe_core.space import SearchSpace

_FIRST = 2
_MOST = 3.0


class ScoreFunctionEstimator(Estimator):
    """Score function with a baseline (REINFORCE; Williams 1992), with one reward or two.

    The gradient of an expected reward is E[(R − b) ∇ log P]. Choices that the validation loss
    depends on directly, `Outcome.validated`, are rewarded by its negative. The others, such as
    those of augmentations where validation is clean, are rewarded by what the step on the weights
    was `worth`. A subclass says what is asked, and what a step is worth.

    Each reward is taken in standard deviations from its running mean, so that one step size fits
    all problems. The baseline of a step does not depend on that step.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space)
        self._baselines = {"validation": Baseline(), "worth": Baseline()}

    @abstractmethod
    def ask(self, probe: Probe) -> Outcome:
        """Ask for the validation loss and the choices it depends on, and what `worth` reads."""

    def worth(self, outcome: Outcome) -> float | None:
        """Return the reward of choices that the validation loss does not depend on, if any."""
        return None

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Weigh the log-probabilities of what was taken by how good it was."""
        validated = [p for path, p in sample.log_p.items() if path in outcome.validated]
        others = [p for path, p in sample.log_p.items() if path not in outcome.validated]
        loss = outcome.validation_loss
        rewards = {
            "validation": None if loss is None else -loss,
            "worth": self.worth(outcome),
        }
        terms = []
        for (name, reward), log_p in zip(rewards.items(), (validated, others), strict=True):
            if reward is None or not log_p:
                continue
            advantage = self._baselines[name].advantage(reward)
            if advantage is not None:
                terms.append(-advantage * torch.stack(log_p).sum())
        return torch.stack(terms).sum() if terms else None

    def state_dict(self) -> dict[str, Any]:
        """Return the baselines."""
        return {name: baseline.state_dict() for name, baseline in self._baselines.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with saved baselines."""
        for name, baseline in self._baselines.items():
            baseline.load_state_dict(state[name])


class AugmentedLossEstimator(ScoreFunctionEstimator):
    """Rewards all choices by the loss of a validation batch that is augmented, after the step."""

    needs = frozenset({VALIDATION_LOSS})

    def ask(self, probe: Probe) -> Outcome:
        """Ask for the loss of the augmented batch after the weights' step."""
        probe.step()
        found = probe.loss(augmented=True)
        (loss,) = probe.numbers(found.value)
        return replace(probe.outcome, validation_loss=loss, validated=found.choices)


class AgreementEstimator(ScoreFunctionEstimator):
    """Rewards augmentations by the cosine between the gradients of training and clean validation.

    Both are those of the path's weights before the step. The look-ahead's first order, but for the
    gradients' lengths.
    """

    needs = frozenset({CLEAN_VALIDATION, AGREEMENT})

    def ask(self, probe: Probe) -> Outcome:
        """Compare the two gradients before the weights' step."""
        found = probe.loss(weights=True)
        loss, agreement = probe.numbers(found.value, probe.cosine(found.weights))
        return replace(
            probe.outcome, validation_loss=loss, validated=found.choices, agreement=agreement
        )

    def worth(self, outcome: Outcome) -> float | None:
        """Return the cosine."""
        return outcome.agreement


class LookAheadEstimator(ScoreFunctionEstimator):
    """Rewards augmentations by how much the weights' step lowered the loss of a clean batch."""

    needs = frozenset({CLEAN_VALIDATION, LOOK_AHEAD})

    def ask(self, probe: Probe) -> Outcome:
        """Ask for the loss of the clean batch before the weights' step and after it."""
        found = probe.loss()
        also = self.also(probe, found)
        probe.step()
        before, after, *more = probe.numbers(found.value, probe.loss().value, *also.values())
        return replace(
            probe.outcome,
            validation_loss=before,
            validated=found.choices,
            improvement=before - after,
            measured=dict(zip(also, more, strict=True)),
        )

    def also(self, probe: Probe, found: PathLoss) -> Mapping[str, Tensor]:
        """Return what a subclass asks before the weights' step, by name in `Outcome.measured`.

        Args:
            probe: The step's.
            found: The loss of the clean batch.
        """
        return {}

    def worth(self, outcome: Outcome) -> float | None:
        """Return the improvement."""
        return outcome.improvement


class Baseline:
    """A running mean and deviation of a reward, of about the last `1 / (1 − decay)` steps."""

    def __init__(self, decay: float = 0.95) -> None:
        self._decay = decay
        self._count, self._mean, self._square = 0, 0.0, 0.0

    def advantage(self, reward: float) -> float | None:
        """Return how many deviations a reward is above those before it; then count it in.

        None for the first two, which say nothing of a deviation; at most 3 on either side.
        """
        found = None
        if self._count >= _FIRST:
            deviation = math.sqrt(max(self._square, 0.0)) + 1e-12
            found = max(-_MOST, min(_MOST, (reward - self._mean) / deviation))
        # While few are known, each counts the same.
        self._count += 1
        share = max(1 - self._decay, 1 / self._count)
        difference = reward - self._mean
        self._mean += share * difference
        self._square = (1 - share) * (self._square + share * difference**2)
        return found

    def state_dict(self) -> dict[str, float]:
        """Return the sums."""
        return {"count": self._count, "mean": self._mean, "square": self._square}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with saved sums."""
        self._count, self._mean = int(state["count"]), float(state["mean"])
        self._square = float(state["square"])
