"""A probe: what can be asked about one step of a search, and the step on the weights itself."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from medpipe_core.errors import MedpipeError, did_you_mean
from medpipe_core.search.batch_norm_statistics import statistics_kept, tracking
from medpipe_core.search.outcome import Outcome
from medpipe_core.search.training_gradient import NOT_FINITE
from medpipe_core.supernet.building import AUGMENTATION, NETWORK_KINDS
from medpipe_core.supernet.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.search.step_state import StepState
    from medpipe_core.search.training_gradient import Loss, TrainingGradient
    from medpipe_core.supernet import Decision

Statistics = Literal["batch", "running"]


class ProbeError(MedpipeError):
    """A question that a step cannot answer."""


@dataclass(frozen=True)
class PathLoss:
    """A loss of the path, still on its device, with the gradients that were asked for.

    Attributes:
        value: The loss, a scalar.
        choices: The choices that it depends on directly.
        gates: Choice path → derivative with respect to the choice's gate, a scalar, for the gates
            that were reached.
        weights: Derivatives with respect to `Probe.weights`, in that order; None where one was not
            reached; empty if they were not asked for.
        logits: What the loss is of, `(batch, classes)`, float32, without a graph.
    """

    value: Tensor
    choices: frozenset[str]
    gates: Mapping[str, Tensor]
    weights: Sequence[Tensor | None]
    logits: Tensor


class Probe:
    """One step of a search, to be asked about before and after the weights' step.

    It is handed out once the gradient of the training batch lies in the weights, and is good for
    that step. Questions change nothing of the search: no weight, no gradient, no running
    statistic. What augments draws from the search's own generator. Whoever asks decides what comes
    before `step` and what after; if it is not called, the search does it after the last question.

    Answers are tensors on the device, which nobody waits for, until `numbers` turns them into
    numbers. One that is not finite fails the step: if it was asked for before the weights' step,
    there is none. A GPU finds that out by itself, so that a step waits for it once: ask for all
    numbers at the end, together.

    Attributes:
        decision: What is run: the path, and its gates.
        weights: The weights of the path that the training batch reached.
        finite: Whether all numbers so far were.
    """

    def __init__(
        self,
        state: StepState,
        decision: Decision,
        settings: SearchSettings,
        loss: Loss,
        training: TrainingGradient,
    ) -> None:
        self.decision = decision
        self.weights: Sequence[nn.Parameter] = training.weights
        self.finite = True
        # What the weights' step depends on, and what of it has not been told as numbers yet.
        self._before: list[Tensor] = [training.loss, training.norm]
        self._untold: list[Tensor] = list(self._before)
        self._state = state
        self._settings = settings
        self._loss = loss
        self._training = training
        self._scale = state.scaler.get_scale()  # of now: the weights' step may change it
        self._stepped = False
        self._first: Sequence[float] = ()  # the training batch's loss and norm, once they are told
        self._batch: Any = None

    @property
    def outcome(self) -> Outcome:
        """What is known of the step by itself: genotype, number, training loss."""
        if not self._first:
            self.numbers()
        return Outcome(self.decision.genotype, self._state.step, train_loss=self._first[0])

    @property
    def number(self) -> int:
        """The number of the step, from 0."""
        return self._state.step

    @property
    def validation(self) -> Any:
        """The step's batch of validation volumes, with `volumes` and `labels`, on the device."""
        if self._batch is None:
            self._batch = self._state.validation.next()
        return self._batch

    @property
    def gradient(self) -> list[Tensor | None]:
        """The training batch's gradient with respect to `weights`; after the step, as clipped."""
        return [weight.grad for weight in self.weights]

    @property
    def generator(self) -> torch.Generator:
        """Source of draws, on the CPU; the one that the search's augmentations draw from."""
        return self._state.generator

    def step(self) -> None:
        """Step the weights along the training gradient; once, and not if a number was not finite.

        Weights stay what they are objects of, so what is asked afterwards is about the new ones.
        """
        if self._untold and not waits_once(self._state):
            self.numbers()
        if not self.finite or self._stepped:
            return
        self._stepped = True
        unless = None
        if self._untold:
            unless = 1 - torch.stack(self._before).isfinite().all().float()
        self._training.step(self._state, self._settings, unless=unless)

    @property
    def problem(self) -> str:
        """Why the step failed, where `finite` is false."""
        if all(map(math.isfinite, self._first)):
            return NOT_FINITE
        return self._training.problem(self._state, self.decision.genotype)

    def loss(
        self,
        batch: Any = None,
        *,
        augmented: bool = False,
        gates: bool = False,
        weights: bool = False,
    ) -> PathLoss:
        """Return the path's loss on a batch, with the batch's own statistics.

        Args:
            batch: Has `volumes` and `labels`; by default that of `validation`.
            augmented: Augment it as the training batch was, with draws of its own.
            gates: Ask for the gradients of the decision's gates as well.
            weights: Ask for the gradients of `weights` as well.
        """
        batch = self.validation if batch is None else batch
        leaves = _leaves(self.decision.gates, batch.volumes.device) if gates else {}
        asked = [*leaves.values(), *(self.weights if weights else ())]
        decision = replace(self.decision, gates=leaves)
        with self._mode("batch"), torch.set_grad_enabled(bool(asked)):
            value, logits, found = self._differentiate(decision, batch, asked, augmented=augmented)
        if not self._stepped:
            self._before.append(value)
            self._untold.append(value)
        reached = {p: g for p, g in zip(leaves, found, strict=False) if g is not None}
        choices, weights_found = self.choices(augmented=augmented), found[len(leaves) :]
        return PathLoss(value, choices, reached, weights_found, logits)

    @torch.no_grad()
    def logits(self, volumes: Tensor, *, statistics: Statistics = "batch") -> Tensor:
        """Return the path's logits of volumes as they are, `(batch, classes)`, float32.

        Args:
            volumes: `(batch, channel, *space)`.
            statistics: Those of batch normalisation: the `batch`'s own, with everything else as in
                training; or `running`, with everything as in evaluation. A path's running ones are
                a mixture over all paths.
        """
        found = []
        with self._mode(statistics):
            for part, _, _ in self._state.computing.parts(volumes, volumes):
                with self._state.computing.autocast():
                    found.append(self._state.supernet.classify(part, self.decision.detached()))
        return torch.cat(found).float()

    @torch.no_grad()
    def augment(
        self, volumes: Tensor, *, only: str | None = None, p: float | None = None
    ) -> Tensor:
        """Return volumes as the path augments them, the same shape.

        Args:
            volumes: `(batch, channel, *space)`; they are not changed.
            only: Apply one augmentation alone: where it stands in the space, of `augmentations`.
            p: Probability in [0, 1] that a volume is touched, in place of what the path says.

        Raises:
            ProbeError: The path has no augmentation there.
        """
        layers = self._policy().layers
        if only is not None:
            known = [layer.path for layer in layers]
            if only not in known:
                raise ProbeError(
                    f"the path has no augmentation {only!r}.{did_you_mean(only, known)}"
                )
            layers = tuple(layer for layer in layers if layer.path == only)
        if p is not None:
            layers = tuple(replace(layer, p=p) for layer in layers)
        augmented: Tensor = Policy(layers)(volumes, self.generator)
        return augmented

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Where the path's augmentations stand in the space, in the order they are applied."""
        return tuple(layer.path for layer in self._policy().layers)

    @property
    def changes(self) -> Mapping[str, frozenset[str] | None]:
        """What the path's augmentations change, by where they stand, as `Augmentation.changes`."""
        return {layer.path: layer.operation.changes for layer in self._policy().layers}

    def choices(self, *, augmented: bool = False) -> frozenset[str]:
        """Return the choices that a loss of the path depends on directly, for `Outcome.validated`.

        They are those of the network, unless a fixed one runs, and of the augmentations if volumes
        are `augmented`.
        """
        idle = set() if augmented else {AUGMENTATION}
        idle |= set(NETWORK_KINDS) if self.decision.network is not None else set()
        steps = self._state.supernet.steps(self.decision.genotype)
        return frozenset(path for step in steps if step.kind not in idle for path in step.choices)

    def cosine(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return the cosine between the training gradient and others of `weights`, a scalar."""
        pairs = [
            (mine.flatten().float(), other.flatten().float())
            for mine, other in zip(self.gradient, gradients, strict=True)
            if mine is not None and other is not None
        ]
        product = torch.stack([torch.linalg.vecdot(mine, other) for mine, other in pairs]).sum()
        length = nn.utils.get_total_norm([mine for mine, _ in pairs])
        other_length = nn.utils.get_total_norm([other for _, other in pairs])
        return product / (length * other_length).clamp_min(torch.finfo(torch.float32).tiny)

    def numbers(self, *values: Tensor) -> list[float]:
        """Return scalars as numbers, in one transfer; a device is waited for here alone."""
        untold, self._untold = self._untold, []
        told: list[float] = torch.stack([v.detach() for v in (*untold, *values)]).tolist()
        self._first = self._first or told[:2]
        self.finite = self.finite and all(map(math.isfinite, told))
        return told[len(untold) :]

    def _differentiate(
        self, decision: Decision, batch: Any, asked: Sequence[Tensor], *, augmented: bool
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """Return the loss, its logits and its gradients with respect to what is asked for."""
        supernet, computing = self._state.supernet, self._state.computing
        volumes = batch.volumes
        if augmented:
            volumes = supernet.augment(volumes, decision, generator=self.generator)
        values: list[Tensor] = []
        told: list[Tensor] = []
        found: list[Tensor | None] = [None] * len(asked)
        for part, labels, share in computing.parts(volumes, batch.labels):
            with computing.autocast():
                logits = supernet.classify(part, decision).float()
            told.append(logits.detach())
            value = share * self._loss(logits, labels)
            values.append(value.detach())
            if asked:
                # An augmentation's graph is one for all parts.
                more = torch.autograd.grad(
                    self._scale * value,
                    asked,
                    allow_unused=True,
                    retain_graph=augmented and share < 1,
                )
                found = [_sum(kept, g) for kept, g in zip(found, more, strict=True)]
        if self._scale != 1:
            found = [None if g is None else g / self._scale for g in found]
        return torch.stack(values).sum(), torch.cat(told), found

    @contextmanager
    def _mode(self, statistics: Statistics) -> Iterator[None]:
        supernet = self._state.supernet
        if statistics == "batch":
            with statistics_kept(self._tracking):
                yield
            return
        supernet.eval()
        try:
            yield
        finally:
            supernet.train()

    @cached_property
    def _tracking(self) -> list[nn.Module]:
        """The layers of the path that keep running statistics."""
        return list(tracking(self._state.supernet.modules_of(self.decision)))

    def _policy(self) -> Policy:
        supernet = self._state.supernet
        return supernet.policy(self.decision.genotype)


def waits_once(state: StepState) -> bool:
    """Say whether a step's numbers are looked at once, at its end, rather than as they come.

    Waiting costs a GPU the time in which the next work would have been handed to it. A CPU has
    nothing to wait for; and the scale of float16's losses is decided with the weights' step.
    """
    return state.computing.device.type == "cuda" and not state.scaler.is_enabled()


def _leaves(gates: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return gates of value 1 on the device, cut off from the searcher's graph."""
    ones = torch.ones(len(gates), device=device).unbind()
    return {path: one.detach().requires_grad_() for path, one in zip(gates, ones, strict=True)}


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
