"""Training a plain network: one explicit state, and a function that steps it to the end."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from medpipe_core.data.batches import Batch, Batches
from medpipe_core.errors import MedpipeError
from medpipe_core.events import Emit, silent
from medpipe_core.seeding import child_seed
from medpipe_core.train.prediction import predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.data import LabelledVolumes
    from medpipe_core.train.settings import FitSettings
    from medpipe_core.train.task import ClassificationTask


class TrainingDivergedError(MedpipeError):
    """A loss that is not a finite number."""


class Augment(Protocol):
    """Augments a batch: `(volumes, generator)` to volumes."""

    def __call__(self, volumes: Tensor, generator: torch.Generator, /) -> Tensor:
        """Return augmented volumes of the same shape."""


@dataclass
class FitState:
    """Everything a training is, between two steps.

    Attributes:
        network: The weights being trained.
        averaged: Running average of the weights, or None.
        optimiser: Adam.
        batches: Training batches.
        generator: Source of the augmentations' draws.
        step: Steps done.
        history: One row an epoch.
    """

    network: nn.Module
    averaged: nn.Module | None
    optimiser: torch.optim.Optimizer
    batches: Batches
    generator: torch.Generator
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        network: nn.Module,
        data: LabelledVolumes,
        *,
        settings: FitSettings,
        seed: int,
        device: torch.device | str,
    ) -> FitState:
        """Return the state before the first step."""
        network.to(device)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        batches = Batches(
            data,
            batch_size=settings.batch_size,
            seed=child_seed(seed, "fit", "order"),
            device=device,
        )
        generator = torch.Generator(device=device)
        generator.manual_seed(child_seed(seed, "fit", "augmentation"))
        averaged = copy.deepcopy(network) if settings.average else None
        return cls(network, averaged, optimiser, batches, generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and tensors."""
        return {
            "network": self.network.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "batches": self.batches.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "history": self.history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.batches.load_state_dict(state["batches"])
        self.generator.set_state(state["generator"])
        self.step, self.history = state["step"], list(state["history"])


def fit(
    state: FitState,
    *,
    settings: FitSettings,
    task: ClassificationTask,
    augment: Augment | None = None,
    validation: LabelledVolumes | None = None,
    emit: Emit = silent,
    stage: str = "fit",
) -> nn.Module:
    """Train a network from its state to the end, and return it in evaluation mode.

    Adam, cosine annealing of the learning rate to zero over all steps. The last weights count, or
    their running average if `settings.average` asks for one: no epoch is picked by its validation
    figures, so those stay an honest estimate.

    Args:
        state: Where to begin; it is changed in place.
        settings: How long and how.
        task: Loss and figures.
        augment: Augments every training batch; None for no augmentation.
        validation: Scored after each epoch, for the journal alone.
        emit: Told of every epoch (`<stage>-epoch`).
        stage: Name of the stage in events.

    Raises:
        TrainingDivergedError: The loss was not finite; the text names epoch and step.
    """
    per_epoch = len(state.batches)
    total = settings.epochs * per_epoch
    began, losses = time.perf_counter(), list[float]()
    while state.step < total:
        _anneal(state, settings, total)
        losses.append(_one_step(state, state.batches.next(), settings, task, augment))
        if state.step % per_epoch:
            continue
        row = {"epoch": float(state.step // per_epoch), "loss": sum(losses) / len(losses)}
        if validation is not None:
            row |= _validation_figures(_result(state), validation, settings, task)
        state.history.append(row)
        shown = {n: v for n, v in row.items() if math.isfinite(v)}
        emit(f"{stage}-epoch", **shown, seconds=time.perf_counter() - began)
        began, losses = time.perf_counter(), []
    return _result(state).eval()


def _one_step(
    state: FitState,
    batch: Batch,
    settings: FitSettings,
    task: ClassificationTask,
    augment: Augment | None,
) -> float:
    state.network.train()
    volumes = augment(batch.volumes, state.generator) if augment else batch.volumes
    loss = task.loss(state.network(volumes), batch.labels)
    number = float(loss.detach())
    if not math.isfinite(number):
        epoch, step = divmod(state.step, len(state.batches))
        raise TrainingDivergedError(
            f"the loss became {number} in epoch {epoch + 1}, step {step + 1}; lower the learning "
            f"rate (now {settings.lr})"
        )
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    state.step += 1
    if state.averaged is not None:
        _average(state.averaged, state.network, settings.average, state.step)
    return number


def _anneal(state: FitState, settings: FitSettings, total: int) -> None:
    for group in state.optimiser.param_groups:
        group["lr"] = settings.lr * (1 + math.cos(math.pi * state.step / total)) / 2


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    # A young average forgets faster, or it would remember the first weights for long.
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for kept, given in zip(averaged.buffers(), network.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(given, 1 - decay)
        else:
            kept.copy_(given)


def _result(state: FitState) -> nn.Module:
    return state.network if state.averaged is None else state.averaged


def _validation_figures(
    network: nn.Module,
    validation: LabelledVolumes,
    settings: FitSettings,
    task: ClassificationTask,
) -> dict[str, float]:
    probabilities = predict(network, validation, task=task, batch_size=settings.batch_size)
    figures = task.figures(probabilities, validation.labels)
    return {f"validation_{name}": figures[name] for name in ("accuracy", "auc")}
