"""One step of a search: train the sampled path, and see what a validation batch says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medpipe_core.memory import out_of_memory
from medpipe_core.search.blame import not_finite_from
from medpipe_core.search.protocol import (
    AGREEMENT,
    CLEAN_VALIDATION,
    GATE_GRADIENTS,
    LOOK_AHEAD,
    Outcome,
)
from medpipe_core.search.statistics import statistics_kept
from medpipe_core.supernet.building import AUGMENTATION, NETWORK_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.state import SearchState
    from medpipe_core.supernet import Decision

    Loss = Callable[[Tensor, Tensor], Tensor]

NOT_FINITE = "the loss or its gradient is not finite"
OVERFLOW = "float16 overflowed, so that the scale of the loss was lowered"
OUT_OF_MEMORY = "out of memory"
_BEFORE_THE_STEP = frozenset({AGREEMENT, LOOK_AHEAD})
_CLEAN = frozenset({CLEAN_VALIDATION, AGREEMENT, LOOK_AHEAD})


def take_step(
    state: SearchState,
    decision: Decision,
    settings: SearchSettings,
    loss: Loss,
    needs: frozenset[str],
) -> tuple[Outcome, str]:
    """Train the decision's path on one batch and find out what the searcher needs to know.

    Args:
        state: The search; its weights and sources of batches move on.
        decision: The path, and gates.
        settings: How the weights step.
        loss: Logits and labels to a scalar.
        needs: What is to be told, of `NEEDS`; nothing costs no validation batch.

    Returns:
        The outcome, and what was wrong: nothing, `OUT_OF_MEMORY`, or a text that begins with
        `NOT_FINITE` and goes on with the augmentation that made it so, if one did.
    """
    outcome = Outcome(decision.genotype, state.step)
    try:
        training = _differentiate(state, decision, loss)
        outcome = replace(outcome, train_loss=training.loss)
        if training.problem:
            return outcome, training.problem
        if not needs:
            training.step(state, settings)
            return outcome, ""
        outcome = _inform(state, decision, settings, loss, needs, training, outcome)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return outcome, OUT_OF_MEMORY
    return outcome, "" if _finite(outcome) else NOT_FINITE


@dataclass(frozen=True)
class _Training:
    """A training batch's loss, with its gradients in the weights that it reached."""

    loss: float
    norm: float
    weights: Sequence[nn.Parameter]
    problem: str = ""

    def step(self, state: SearchState, settings: SearchSettings) -> None:
        """Step the weights."""
        if settings.grad_clip is not None:
            norm = torch.tensor(self.norm, device=self.weights[0].device)
            nn.utils.clip_grads_with_norm_(self.weights, settings.grad_clip, norm)
        state.scaler.step(state.optimiser)
        state.scaler.update()


def _differentiate(state: SearchState, decision: Decision, loss: Loss) -> _Training:
    """Leave the gradients of a training batch in the weights of the path."""
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
    value = torch.stack(values).detach().sum()
    number, size = torch.stack((value, norm.float())).tolist()
    if math.isfinite(number) and math.isfinite(size):
        return _Training(number, size, weights)
    if state.scaler.is_enabled():
        state.scaler.update()
        return _Training(number, size, weights, OVERFLOW)
    found = not_finite_from(state.supernet, decision.genotype, batch.volumes, drawn)
    return _Training(number, size, weights, f"{NOT_FINITE}: {found}" if found else NOT_FINITE)


def _inform(
    state: SearchState,
    decision: Decision,
    settings: SearchSettings,
    loss: Loss,
    needs: frozenset[str],
    training: _Training,
    outcome: Outcome,
) -> Outcome:
    """Step the weights, and look at a validation batch before it or after it."""
    validation = _Validation(state, decision, loss, clean=bool(needs & _CLEAN))
    gates = _leaves(decision.gates, validation.device) if GATE_GRADIENTS in needs else {}
    if not needs & _BEFORE_THE_STEP:
        training.step(state, settings)
        return replace(outcome, **validation.look(gates))
    compared = training.weights if AGREEMENT in needs else ()
    outcome = replace(outcome, **validation.look(gates, compared))
    if not _finite(outcome):
        return outcome
    training.step(state, settings)
    if LOOK_AHEAD not in needs:
        return outcome
    before, after = outcome.validation_loss, validation.look({})["validation_loss"]
    return replace(outcome, improvement=before - after)


class _Validation:
    """A validation batch, to be looked at through one path."""

    def __init__(self, state: SearchState, decision: Decision, loss: Loss, *, clean: bool) -> None:
        self._supernet = state.supernet
        self._computing = state.computing
        self._scale = state.scaler.get_scale()
        self._decision = decision
        self._batch = state.validation.next()
        self._loss = loss
        self._generator = None if clean else state.generator

    @property
    def device(self) -> torch.device:
        """Where the batch is."""
        device: torch.device = self._batch.volumes.device
        return device

    def look(
        self, gates: Mapping[str, Tensor], weights: Sequence[nn.Parameter] = ()
    ) -> dict[str, Any]:
        """Return fields of an outcome: the loss, what it says of the gates and of the weights.

        Args:
            gates: Choice path → leaf whose gradient is asked for.
            weights: Weights that hold a training batch's gradient, to be compared with.
        """
        asked = [*gates.values(), *weights]
        decision = replace(self._decision, gates=gates)
        with statistics_kept(self._supernet), torch.set_grad_enabled(bool(asked)):
            value, found = self._differentiate(decision, asked)
        reached = {p: g for p, g in zip(gates, found, strict=False) if g is not None}
        numbers = [value, *reached.values()]
        if weights:
            numbers.append(_cosine(weights, found[len(gates) :]))
        # One transfer for all numbers, so that a device is waited for once.
        told = torch.stack(numbers).tolist()
        return {
            "validation_loss": told[0],
            "validated": self._validated(),
            "gate_gradients": dict(zip(reached, told[1:], strict=False)),
            "agreement": told[-1] if weights else None,
        }

    def _differentiate(
        self, decision: Decision, asked: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the loss and its gradients with respect to what is asked for, and nothing else."""
        volumes = self._batch.volumes
        if self._generator is not None:
            volumes = self._supernet.augment(volumes, decision, generator=self._generator)
        values: list[Tensor] = []
        found: list[Tensor | None] = [None] * len(asked)
        for part, labels, share in self._computing.parts(volumes, self._batch.labels):
            with self._computing.autocast():
                logits = self._supernet.classify(part, decision)
            value = share * self._loss(logits.float(), labels)
            values.append(value.detach())
            if asked:
                # An augmentation's graph is one for all parts.
                more = torch.autograd.grad(
                    self._scale * value,
                    asked,
                    allow_unused=True,
                    retain_graph=self._generator is not None and share < 1,
                )
                found = [_sum(kept, g) for kept, g in zip(found, more, strict=True)]
        if self._scale != 1:
            found = [None if g is None else g / self._scale for g in found]
        return torch.stack(values).sum(), found

    def _validated(self) -> frozenset[str]:
        steps = self._supernet.space.resolve(self._decision.genotype)
        idle = {AUGMENTATION} if self._generator is None else set()
        idle |= set(NETWORK_KINDS) if self._decision.network is not None else set()
        ran = (step for step in steps if step.kind not in idle)
        return frozenset(choice for step in ran for choice in step.choices)


def _leaves(gates: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return gates of value 1 on the device, cut off from the searcher's graph."""
    ones = torch.ones(len(gates), device=device).unbind()
    return {path: one.detach().requires_grad_() for path, one in zip(gates, ones, strict=True)}


def _cosine(weights: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> Tensor:
    """Return the cosine between the gradients that weights hold and others, as one vector each."""
    pairs = [
        (w.grad.flatten().float(), g.flatten().float())
        for w, g in zip(weights, gradients, strict=True)
        if w.grad is not None and g is not None
    ]
    product = torch.stack([torch.linalg.vecdot(mine, other) for mine, other in pairs]).sum()
    mine = nn.utils.get_total_norm([mine for mine, _ in pairs])
    other = nn.utils.get_total_norm([other for _, other in pairs])
    return product / (mine * other).clamp_min(torch.finfo(torch.float32).tiny)


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _finite(outcome: Outcome) -> bool:
    numbers = (outcome.validation_loss, outcome.agreement, outcome.improvement)
    known = (number for number in numbers if number is not None)
    return all(map(math.isfinite, (*known, *outcome.gate_gradients.values())))
