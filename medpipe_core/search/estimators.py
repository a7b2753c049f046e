"""Estimators: what an outcome says of the logits, as a scalar to differentiate.

A gradient searcher samples paths and steps its logits θ; which gradient it follows is the
estimator's business. An estimator declares what it needs of an outcome, and the searcher declares
the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from medpipe_core.search.protocol import (
    AGREEMENT,
    CLEAN_VALIDATION,
    GATE_GRADIENTS,
    LOOK_AHEAD,
    VALIDATION_LOSS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from medpipe_core.search.protocol import Outcome
    from medpipe_core.space import Genotype


@dataclass(frozen=True)
class Sample:
    """A sampled path, as part of the graph that leads to θ.

    Attributes:
        genotype: The path.
        gates: Choice path → gate of equation 4, a scalar of value exactly 1; active choices only,
            and only for estimators that need their gradients.
        log_p: Choice path → log P of the key that was taken, a scalar; active choices only.
    """

    genotype: Genotype
    gates: Mapping[str, Tensor]
    log_p: Mapping[str, Tensor]


class Estimator(Protocol):
    """Estimates the gradient of the expected validation loss with respect to θ."""

    needs: frozenset[str]
    """What it needs of an outcome, as `Searcher.needs`."""

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Return a scalar whose gradient with respect to θ is the estimate.

        None leaves θ as it is: no gradient, no decay, no momentum.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what it has learned, as plain values."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""


class GateEstimator:
    """The paper's: the gradient that reached the gates goes on to θ (equations 2 to 4).

    The surrogate is Σ gate · ∂loss/∂gate over the gates that were reached.
    """

    needs = frozenset({GATE_GRADIENTS})

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Chain the gates' gradients with the gates."""
        terms = [
            sample.gates[path] * gradient
            for path, gradient in outcome.gate_gradients.items()
            if path in sample.gates
        ]
        return torch.stack(terms).sum() if terms else None

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: it learns nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


class ScoreFunctionEstimator:
    """Score function with a baseline (REINFORCE; Williams 1992), with one reward or two.

    The gradient of an expected reward is E[(R − b) ∇ log P]. Choices that the validation loss
    depends on directly are rewarded by its negative. The others, such as those of augmentations
    where validation is clean, are rewarded by what the step on the weights was `worth`.

    Each reward is taken in standard deviations from its running mean, so that one step size fits
    all problems. The baseline of a step does not depend on that step.

    Args:
        needs: What is asked of an outcome.
        worth: Reads the reward of choices that the validation loss does not depend on.
    """

    def __init__(
        self, needs: Iterable[str], worth: Callable[[Outcome], float | None] | None = None
    ) -> None:
        self.needs = frozenset(needs)
        self._worth = worth
        self._baselines = {"validation": Baseline(), "worth": Baseline()}

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Weigh the log-probabilities of what was taken by how good it was."""
        validated = [p for path, p in sample.log_p.items() if path in outcome.validated]
        others = [p for path, p in sample.log_p.items() if path not in outcome.validated]
        loss = outcome.validation_loss
        rewards = {
            "validation": None if loss is None else -loss,
            "worth": self._worth(outcome) if self._worth else None,
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


_FIRST = 2
_MOST = 3.0


def make_estimator(name: str) -> Estimator:
    """Return an estimator by name: `gate`, `score`, `agreement` or `look-ahead`.

    Raises:
        ValueError: There is none of that name.
    """
    match name:
        case "gate":
            return GateEstimator()
        case "score":
            return ScoreFunctionEstimator({VALIDATION_LOSS})
        case "agreement":
            return ScoreFunctionEstimator(
                {CLEAN_VALIDATION, AGREEMENT}, lambda outcome: outcome.agreement
            )
        case "look-ahead":
            return ScoreFunctionEstimator(
                {CLEAN_VALIDATION, LOOK_AHEAD}, lambda outcome: outcome.improvement
            )
    raise ValueError(f"there is no estimator {name!r}; known: agreement, gate, look-ahead, score")
