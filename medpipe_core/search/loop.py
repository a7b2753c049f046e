"""The loop that feeds a searcher: one step after another over an explicit state."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medpipe_core.errors import MedpipeError
from medpipe_core.events import Emit, silent
from medpipe_core.memory import out_of_memory, release_memory
from medpipe_core.search.protocol import GATE_GRADIENTS, VALIDATION_LOSS, Outcome, Searcher
from medpipe_core.seeding import child_seed
from medpipe_core.space import Genotype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from medpipe_core.search.settings import SearchSettings
    from medpipe_core.supernet import Decision, Supernet

_MOST_FAILURES = 25


class SearchFailedError(MedpipeError):
    """A search whose steps fail one after another."""


class BatchSource(Protocol):
    """An endless source of batches that can be stopped and continued."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def next(self) -> Any:
        """Return the next batch, with `volumes` and `labels`."""

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""


class Score(Protocol):
    """Scores a genotype as it would be exported."""

    def __call__(self, genotype: Genotype, network: nn.Module, /) -> Mapping[str, float]:
        """Return figures, among them `score`: larger is better."""


@dataclass(frozen=True)
class Candidate:
    """A genotype that was scored during the search.

    Attributes:
        genotype: What was scored.
        epoch: After which epoch, from 1.
        figures: What the scoring found; `score` ranks.
    """

    genotype: Genotype
    epoch: int
    figures: Mapping[str, float]

    @property
    def score(self) -> float:
        """The figure of merit, larger is better."""
        return self.figures["score"]


@dataclass
class SearchState:
    """Everything a search is, between two steps.

    Attributes:
        supernet: The shared weights.
        searcher: The searcher.
        optimiser: Adam on the weights.
        training: Batches that train the weights.
        validation: Batches that inform the searcher.
        generator: Source of the augmentations' draws.
        step: Steps done.
        failures: Steps that failed in a row.
        candidates: What was scored so far.
    """

    supernet: Supernet
    searcher: Searcher
    optimiser: torch.optim.Optimizer
    training: BatchSource
    validation: BatchSource
    generator: torch.Generator
    step: int = 0
    failures: int = 0
    candidates: list[Candidate] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        supernet: Supernet,
        searcher: Searcher,
        training: BatchSource,
        validation: BatchSource,
        *,
        settings: SearchSettings,
        seed: int,
    ) -> SearchState:
        """Return the state before the first step."""
        device = next(supernet.parameters()).device
        optimiser = torch.optim.Adam(
            supernet.parameters(), lr=settings.weights_lr, weight_decay=settings.weight_decay
        )
        generator = torch.Generator(device=device)
        generator.manual_seed(child_seed(seed, "search", "augmentation"))
        return cls(supernet, searcher, optimiser, training, validation, generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and tensors."""
        return {
            "supernet": self.supernet.state_dict(),
            "searcher": self.searcher.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "training": self.training.state_dict(),
            "validation": self.validation.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "failures": self.failures,
            "candidates": [
                {"genotype": c.genotype.to_dict(), "epoch": c.epoch, "figures": dict(c.figures)}
                for c in self.candidates
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.supernet.load_state_dict(state["supernet"])
        self.searcher.load_state_dict(state["searcher"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.training.load_state_dict(state["training"])
        self.validation.load_state_dict(state["validation"])
        self.generator.set_state(state["generator"])
        self.step, self.failures = state["step"], state["failures"]
        self.candidates = [
            Candidate(Genotype.from_dict(c["genotype"]), c["epoch"], c["figures"])
            for c in state["candidates"]
        ]


def search(
    state: SearchState,
    *,
    settings: SearchSettings,
    loss: Callable[[Tensor, Tensor], Tensor],
    score: Score,
    emit: Emit = silent,
) -> list[Candidate]:
    """Run a search from its state to the end and return every scored candidate.

    A step trains the sampled path's weights on one batch, then tells the searcher what a
    validation batch says of the same path. After each epoch the genotypes that the searcher
    proposes are frozen and scored as they would be exported.

    Args:
        state: Where to begin; it is changed in place.
        settings: Epochs, and how weights step.
        loss: Logits and labels to a scalar.
        score: Scores a frozen candidate on validation data.
        emit: Told of every step (`search-step`) and epoch (`search-epoch`).

    Raises:
        SearchFailedError: 25 steps in a row gave no finite loss or ran out of memory.
    """
    per_epoch = len(state.training)
    while state.step < settings.epochs * per_epoch:
        _one_step(state, settings, loss, emit)
        if state.step % per_epoch == 0:
            _end_epoch(state, settings, score, emit)
    return state.candidates


def _one_step(
    state: SearchState,
    settings: SearchSettings,
    loss: Callable[[Tensor, Tensor], Tensor],
    emit: Emit,
) -> None:
    began = time.perf_counter()
    decision = state.searcher.decide(state.step)
    warming = state.step < settings.warmup_epochs * len(state.training)
    problem, outcome = "", None
    try:
        train_loss = _train(state, decision, settings, loss)
        outcome = Outcome(decision.genotype, state.step, train_loss)
        if not warming and state.searcher.needs:
            outcome = _validate(state, decision, outcome, loss)
        problem = _not_finite(outcome)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        state.optimiser.zero_grad(set_to_none=True)
        release_memory()
        problem = "out of memory"
    if outcome is not None and not problem and not warming:
        state.searcher.observe(outcome)
    emit(
        "search-step",
        step=state.step,
        train_loss=_plain(outcome.train_loss if outcome else None),
        validation_loss=_plain(outcome.validation_loss if outcome else None),
        genotype=decision.genotype.digest,
        seconds=time.perf_counter() - began,
        **({"failed": problem} if problem else {}),
    )
    state.step += 1
    state.failures = state.failures + 1 if problem else 0
    if state.failures >= _MOST_FAILURES:
        raise SearchFailedError(
            f"the last {state.failures} search steps failed ({problem}); the last genotype was "
            f"{decision.genotype.digest}. Lower search.weights_lr, search.batch_size, or the "
            "budget of the space"
        )


def _train(
    state: SearchState,
    decision: Decision,
    settings: SearchSettings,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> float:
    state.supernet.train()
    batch = state.training.next()
    logits = state.supernet(batch.volumes, decision.detached(), generator=state.generator)
    value = loss(logits, batch.labels)
    number = float(value.detach())
    if not math.isfinite(number):
        return number
    # With no gradient on what was not sampled, Adam leaves it alone: no decay, no momentum.
    state.optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    if settings.grad_clip is not None:
        nn.utils.clip_grad_norm_(
            state.supernet.parameters_of(decision.genotype), settings.grad_clip
        )
    state.optimiser.step()
    return number


def _validate(
    state: SearchState,
    decision: Decision,
    outcome: Outcome,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Outcome:
    needs = state.searcher.needs
    batch = state.validation.next()
    gates = dict(decision.gates) if GATE_GRADIENTS in needs else {}
    gradients: dict[str, float] = {}
    with statistics_kept(state.supernet), torch.set_grad_enabled(bool(gates)):
        logits = state.supernet(batch.volumes, decision, generator=state.generator)
        value = loss(logits, batch.labels)
        if gates:
            # Only the gates are asked for, so no gradient of a weight is computed.
            found = torch.autograd.grad(value, list(gates.values()), allow_unused=True)
            gradients = {
                path: float(gradient)
                for path, gradient in zip(gates, found, strict=True)
                if gradient is not None
            }
    return Outcome(
        outcome.genotype,
        outcome.step,
        outcome.train_loss,
        float(value.detach()) if needs & {GATE_GRADIENTS, VALIDATION_LOSS} else None,
        gradients,
    )


def _end_epoch(state: SearchState, settings: SearchSettings, score: Score, emit: Emit) -> None:
    epoch = state.step // len(state.training)
    for genotype in state.searcher.propose(settings.candidates):
        began = time.perf_counter()
        figures = dict(score(genotype, state.supernet.freeze(genotype)))
        emit(
            "search-epoch",
            epoch=epoch,
            genotype=genotype.digest,
            figures={name: _plain(value) for name, value in figures.items()},
            seconds=time.perf_counter() - began,
            **state.searcher.insight(),
        )
        if not math.isfinite(figures["score"]):
            continue
        state.candidates.append(Candidate(genotype, epoch, figures))
        state.searcher.observe(Outcome(genotype, state.step, score=figures["score"]))


class statistics_kept:  # noqa: N801 - reads as the context it is
    """Batch normalisation uses the batch's statistics inside, and leaves the running ones alone.

    A sampled path's running statistics are a mixture over all paths, so evaluation mode says
    little of it; and a validation batch must not leak into what training estimated.
    """

    def __init__(self, module: nn.Module) -> None:
        layers = (m for m in module.modules() if isinstance(m, _BatchNorm))
        self._layers = [layer for layer in layers if layer.track_running_stats]

    def __enter__(self) -> None:
        for layer in self._layers:
            layer.track_running_stats = False

    def __exit__(self, *_: object) -> None:
        for layer in self._layers:
            layer.track_running_stats = True


def _not_finite(outcome: Outcome) -> str:
    losses: Iterator[float] = (
        loss for loss in (outcome.train_loss, outcome.validation_loss) if loss is not None
    )
    return "" if all(map(math.isfinite, losses)) else "loss is not finite"


def _plain(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
