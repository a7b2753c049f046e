"""The gradient of a training batch in the weights of the sampled path, and the step along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from medpipe_core.search.non_finite import not_finite_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.step_state import StepState
    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Decision

Loss = Callable[[Tensor, Tensor], Tensor]

NOT_FINITE = "the loss or its gradient is not finite"
OVERFLOW = "float16 overflowed, so that the scale of the loss was lowered"


@dataclass(frozen=True)
class TrainingGradient:
    """A training batch's loss, with its gradients in the weights that it reached.

    Attributes:
        loss: The loss, a scalar on the device.
        norm: Length of the gradient, a scalar on the device.
        weights: The weights of the path that were reached; their `grad` is the gradient.
        volumes: The batch before its augmentation.
        drawn: State of the augmentations' generator before it.
    """

    loss: Tensor
    norm: Tensor
    weights: Sequence[nn.Parameter]
    volumes: Tensor
    drawn: Tensor

    def step(self, state: StepState, settings: SearchSettings, *, unless: Tensor | None) -> None:
        """Step the weights.

        Args:
            state: The search.
            settings: How weights step.
            unless: A scalar on the device, 1 if nothing is to happen after all: so the device says
                itself whether its numbers were finite, and nobody waits for the answer.
        """
        if settings.grad_clip is not None:
            nn.utils.clip_grads_with_norm_(self.weights, settings.grad_clip, self.norm)
        if unless is None:
            state.scaler.step(state.optimiser)
            state.scaler.update()
            return
        # What torch's own scaler of losses does: fused Adam looks at `found_inf` on the device.
        state.optimiser.found_inf = unless  # type: ignore[attr-defined]
        try:
            state.optimiser.step()
        finally:
            del state.optimiser.found_inf  # type: ignore[attr-defined]

    def problem(self, state: StepState, genotype: Genotype) -> str:
        """Return why it cannot be stepped along, where its numbers are not finite.

        It is `OVERFLOW`, or a text that begins with `NOT_FINITE` and goes on with the augmentation
        that made it so, if one did.
        """
        if state.scaler.is_enabled():
            state.scaler.update()
            return OVERFLOW
        found = not_finite_from(state.supernet, genotype, self.volumes, self.drawn)
        return f"{NOT_FINITE}: {found}" if found else NOT_FINITE


def training_gradient(state: StepState, decision: Decision, loss: Loss) -> TrainingGradient:
    """Leave the gradients of the next training batch in the weights of the path.

    Args:
        state: The search; its source of training batches moves on.
        decision: The path; its gates play no part.
        loss: Logits and labels to a scalar.
    """
    if not state.supernet.training:  # of thousands of modules, which takes milliseconds
        state.supernet.train()
    batch = state.training.next()
    drawn = state.generator.get_state()
    # With no gradient on what was not sampled, Adam leaves it alone: no decay, no momentum.
    state.optimiser.zero_grad(set_to_none=True)
    path = decision.detached()
    volumes = state.supernet.augment(batch.volumes, path, generator=state.generator)
    values = []
    for part, labels, share in state.computing.parts(volumes, batch.labels):
        with state.computing.autocast():
            logits = state.supernet.classify(part, path)
        values.append(share * loss(logits.float(), labels))
        state.scaler.scale(values[-1]).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(state.optimiser)
    weights = [w for w in state.supernet.parameters_of(decision) if w.grad is not None]
    norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
    return TrainingGradient(
        torch.stack(values).detach().sum(), norm.float(), weights, batch.volumes, drawn
    )
