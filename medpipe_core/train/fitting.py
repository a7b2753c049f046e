"""Training a plain network: a function that steps an explicit state to its end."""

from __future__ import annotations

import functools
import math
import time
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from medpipe_core.errors import MedpipeError
from medpipe_core.events import Emit, silent
from medpipe_core.train.averaging import Averaging
from medpipe_core.train.blame import layer_not_finite, not_finite_from
from medpipe_core.train.late_number import LateNumber
from medpipe_core.train.prediction import predict
from medpipe_core.train.ranking import check_ranking
from medpipe_core.train.state import Best, FitState, UntoldStep
from medpipe_core.train.training_step import CudaGraph, RecordedSteps, step_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.data import Batch, LabelledVolumes
    from medpipe_core.train.settings import FitSettings
    from medpipe_core.train.task import Task


class TrainingDivergedError(MedpipeError):
    """A loss, or weights, that are not finite numbers; the text says where they came from."""


class NothingToSelectError(MedpipeError):
    """The best epoch is asked for, but no validation volumes can tell which it is."""


class Augment(Protocol):
    """Augments a batch: `(volumes, generator)` to volumes.

    The generator is on the CPU, whatever device the volumes are on.
    One with a method `not_finite_from`, as `Policy` has, is asked which part of it made values that
    are not finite.
    """

    def __call__(self, volumes: Tensor, generator: torch.Generator, /) -> Tensor:
        """Return augmented volumes of the same shape."""


class ScheduledAugment(Protocol):
    """Augments differently as a training goes on."""

    def at(self, step: int, steps: int, /) -> Augment:
        """Return what augments at a step, from 0, of a training of so many."""


def fit(
    state: FitState,
    *,
    settings: FitSettings,
    task: Task,
    augment: Augment | ScheduledAugment | None = None,
    validation: LabelledVolumes | None = None,
    emit: Emit = silent,
    stage: str = "fit",
    name: str = "",
    between: Callable[[], None] = lambda: None,
    looking: Callable[[], None] = lambda: None,
) -> nn.Module:
    """Train a network from its state to the end, and return it in evaluation mode.

    Adam, cosine annealing of the learning rate to zero over all steps. By default the last weights
    count, or their running average if `settings.average` asks for one: no epoch is picked by its
    validation figures, so those stay an honest estimate. `settings.select` can ask for the epoch
    with the best score instead; of equal ones the smaller loss, then the earlier one.

    Args:
        state: Where to begin; it is changed in place.
        settings: How long and how.
        task: Loss and figures.
        augment: Augments every training batch; None for no augmentation. One with a method `at`
            is asked at each step what augments it.
        validation: Scored after every `settings.validate_every` epochs and after the last.
        emit: Told of every epoch (`<stage>-epoch`).
        stage: Name of the stage in events.
        name: What is trained, such as a genotype's digest, for messages.
        between: Called before every step, when the state is whole and can be saved.
        looking: Called before every batch of a validation, when it can be saved as well.

    Raises:
        TrainingDivergedError: The loss or a weight was not finite; the text names epoch and step,
            and the augmentation that made it so, if one did.
        NothingToSelectError: The best epoch is asked for, without validation volumes.
        RankingError: The best epoch is asked for, but no figure of the validation volumes can tell.
    """
    if settings.select == "best" and validation is None:
        raise NothingToSelectError(
            "select=best picks the epoch by validation figures, but there are no validation "
            "volumes; hand some in, or use select=last"
        )
    if settings.select == "best" and validation is not None:
        among = "the validation volumes, which pick the epoch"
        check_ranking(settings.rank_by, validation.labels, task.classes, among=among)
    per_epoch = len(state.batches)
    total = settings.epochs * per_epoch
    training = _Training(state, settings, task, augment, name)
    if _is_on_gpu(state):
        training.on_gpu(lambda message: emit(f"{stage}-warning", message=message))
    began = time.perf_counter()
    while len(state.history) < settings.epochs:
        if state.step < per_epoch * (len(state.history) + 1):
            between()
            _anneal(state, settings, total)
            batch = state.batches.next()
            with state.stream.running():
                training.take_step(batch)
            continue
        training.hear(0)
        row = _end_epoch(state, settings, task, validation, name, looking)
        shown = {n: v for n, v in row.items() if math.isfinite(v)}
        emit(f"{stage}-epoch", **shown, steps=per_epoch, seconds=time.perf_counter() - began)
        began = time.perf_counter()
    if _is_on_gpu(state):  # a recording's gradients would keep its memory
        state.optimiser.zero_grad(set_to_none=True)
    network = state.result
    if state.best is not None:
        network.load_state_dict(state.best.weights)
    return network.eval()


class _Training:
    """The steps of one training.

    Args:
        state: The training.
        settings: How weights step.
        task: The loss.
        augment: Augments a batch, or None.
        name: What is trained, for messages.
    """

    def __init__(
        self,
        state: FitState,
        settings: FitSettings,
        task: Task,
        augment: Augment | ScheduledAugment | None,
        name: str,
    ) -> None:
        self._state = state
        self._settings = settings
        self._task = task
        self._augment = augment
        self._name = name
        self._recorded: RecordedSteps | None = None
        # Found once: a walk over the modules at each step would take as long as a small step.
        self._averaging: Averaging | None = None
        if state.averaged is not None:
            self._averaging = Averaging(state.averaged, state.network, settings.average)

    def on_gpu(self, warn: Callable[[str], None]) -> None:
        """Wait for no loss before the next step is under way, and record steps where that can be.

        Args:
            warn: Told in words where it cannot.
        """
        state = self._state
        step = functools.partial(step_weights, state, settings=self._settings, task=self._task)
        # The scale of float16's losses is decided on the CPU, after each step.
        recorder = None if state.scaler.is_enabled() else CudaGraph(state.computing.device)
        self._recorded = RecordedSteps(step, recorder, warn)

    def take_step(self, batch: Batch) -> None:
        """Take the next step.

        Raises:
            TrainingDivergedError: The loss is not finite; on a GPU, that of an earlier step.
        """
        state = self._state
        if not state.network.training:
            state.network.train()
        drawn = state.generator.get_state()
        augment = self._augment_at(state.step)
        volumes = augment(batch.volumes, state.generator) if augment else batch.volumes
        if self._recorded is not None:
            loss = LateNumber(self._recorded(volumes, batch.labels))
            state.untold.append(UntoldStep(state.step, loss, batch.volumes, volumes, drawn))
            state.step += 1
            self.hear(1)
        else:
            self._look_and_step(batch, volumes, drawn)
            state.step += 1
        if self._averaging is not None:
            self._averaging.follow(state.step)

    def _augment_at(self, step: int) -> Augment | None:
        at = getattr(self._augment, "at", None)
        if at is None:
            return cast("Augment | None", self._augment)
        return cast("Augment", at(step, self._settings.epochs * len(self._state.batches)))

    def hear(self, most: int) -> None:
        """Hear the losses of all steps but the last few, which a GPU may still be busy with.

        Raises:
            TrainingDivergedError: One is not finite.
        """
        state = self._state
        while len(state.untold) > most:
            told = state.untold.pop(0)
            number = float(told.loss)
            if not math.isfinite(number):
                # Later steps have spoilt the weights, so that any layer would be found guilty.
                self._diverged(number, told, None)
            state.losses.append(number)

    def _look_and_step(self, batch: Batch, volumes: Tensor, drawn: Tensor) -> None:
        state = self._state
        number = 0.0

        def look(part: Tensor, loss: Tensor) -> None:
            nonlocal number
            number += float(loss)
            if not math.isfinite(number):
                told = UntoldStep(state.step, number, batch.volumes, volumes, drawn)
                self._diverged(number, told, part)

        step_weights(state, volumes, batch.labels, self._settings, self._task, look)
        state.losses.append(number)

    def _diverged(self, number: float, told: UntoldStep, part: Tensor | None) -> None:
        state, name = self._state, self._name
        augment = self._augment_at(told.step)
        found = not_finite_from(told.given, told.augmented, augment, told.drawn)
        if found:
            raise _diverged(state, told.step, found, "", name)
        layer = ""
        if part is not None:
            with state.computing.autocast():
                layer = layer_not_finite(state.network, part)
        first = f", first in what {layer} gives," if layer else ""
        what = f"the loss became {number}{first}"
        # Before the first step no learning rate can have spoilt anything.
        cure = _lower(self._settings) if told.step or not layer else ""
        raise _diverged(state, told.step, what, cure, name)


def _end_epoch(
    state: FitState,
    settings: FitSettings,
    task: Task,
    validation: LabelledVolumes | None,
    name: str,
    looking: Callable[[], None],
) -> dict[str, float]:
    """Close the epoch's row; its last step may have spoilt weights that no loss has shown yet."""
    network = state.result
    if not _all_finite(network):
        what, cure = "a weight is no longer finite", _lower(settings)
        raise _diverged(state, state.step - 1, what, cure, name)
    epoch = state.step // len(state.batches)
    row = {
        "epoch": float(epoch),
        "loss": sum(state.losses) / len(state.losses),
        "lr": _rate(state.step - 1, settings, settings.epochs * len(state.batches)),
    }
    scored = epoch % settings.validate_every == 0 or epoch == settings.epochs
    if validation is not None and scored:
        size = settings.batch_size
        probabilities = predict(network, validation, task=task, batch_size=size, between=looking)
        figures = task.figures(probabilities, validation.labels)
        loss = task.validation_loss(probabilities, validation.labels)
        row |= {f"validation_{shown}": figures[shown] for shown in task.shown}
        row["validation_loss"] = loss
        if settings.select == "best":
            _keep_if_best(state, epoch, (task.score(figures), -loss), network)
    state.history.append(row)
    state.losses = []
    return row


def _keep_if_best(
    state: FitState, epoch: int, rank: tuple[float, float], network: nn.Module
) -> None:
    if not math.isfinite(rank[0]) or (state.best is not None and rank <= state.best.rank):
        return
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    state.best = Best(epoch, rank, weights)


def _diverged(state: FitState, step: int, what: str, cure: str, name: str) -> TrainingDivergedError:
    epoch, within = divmod(step, len(state.batches))
    return TrainingDivergedError(
        f"{f'{name}: ' if name else ''}{what} in epoch {epoch + 1}, step {within + 1}{cure}"
    )


def _lower(settings: FitSettings) -> str:
    return f"; lower the learning rate (now {settings.lr})"


def _rate(step: int, settings: FitSettings, total: int) -> float:
    """Return the learning rate of a step."""
    return settings.lr * (1 + math.cos(math.pi * step / total)) / 2


def _anneal(state: FitState, settings: FitSettings, total: int) -> None:
    """Set the learning rate of the coming step."""
    rate = _rate(state.step, settings, total)
    for group in state.optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _is_on_gpu(state: FitState) -> bool:
    """Say whether steps are handed to a device that works on while Python goes on."""
    return state.computing.device.type == "cuda"


def _all_finite(network: nn.Module) -> bool:
    values = [v for v in network.state_dict().values() if v.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in values]).all())
