"""The paper's estimator: the gradient that reached the gates goes on to the logits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from medpipe_core.search.estimator import Estimator
from medpipe_core.search.needs import GATE_GRADIENTS

if TYPE_CHECKING:
    from torch import Tensor

    from medpipe_core.search.estimator import Sample
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe


class GateEstimator(Estimator):
    """The paper's: the gradient that reached the gates goes on to θ (equations 2 to 4).

    The loss is that of a validation batch, augmented as the training batch was, after the weights'
    step. The surrogate is Σ gate · ∂loss/∂gate over the gates that were reached.
    """

    needs = frozenset({GATE_GRADIENTS})

    def ask(self, probe: Probe) -> Outcome:
        """Ask for the gates' gradients after the weights' step."""
        probe.step()
        found = probe.loss(augmented=True, gates=True)
        loss, *gradients = probe.numbers(found.value, *found.gates.values())
        return replace(
            probe.outcome,
            validation_loss=loss,
            validated=found.choices,
            gate_gradients=dict(zip(found.gates, gradients, strict=True)),
        )

    def surrogate(self, sample: Sample, outcome: Outcome) -> Tensor | None:
        """Chain the gates' gradients with the gates."""
        terms = [
            sample.gates[path] * gradient
            for path, gradient in outcome.gate_gradients.items()
            if path in sample.gates
        ]
        return torch.stack(terms).sum() if terms else None
