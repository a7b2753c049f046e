"""Estimators: what an outcome says of the logits, as a scalar to differentiate.

A gradient searcher samples paths and steps its logits θ; which gradient it follows is the
estimator's business. An estimator declares what it needs of an outcome, and the searcher declares
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from medpipe_core.search.protocol import GATE_GRADIENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.search.protocol import Outcome
    from medpipe_core.space import Genotype


@dataclass(frozen=True)
class Sample:
    """A sampled path, as part of the graph that leads to θ.

    Attributes:
        genotype: The path.
        gates: Choice path → gate of equation 4, a scalar of value exactly 1; active choices only.
    """

    genotype: Genotype
    gates: Mapping[str, Tensor]


class Estimator(Protocol):
    """Estimates the gradient of the expected validation loss with respect to θ."""

    needs: frozenset[str]
    """What it needs of an outcome, as `Searcher.needs`."""

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Return a scalar whose gradient with respect to θ is the estimate.

        None leaves θ as it is: no gradient, no decay, no momentum.
        """


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
