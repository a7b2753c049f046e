"""The training within a trial: it can be gone on with, has its time, and one more try."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.record.state_encoding import copied
from medpipe_core.train import FitState, TrainingDivergedError, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from medpipe_core.computing import Computing
    from medpipe_core.data import Development
    from medpipe_core.events import Emit
    from medpipe_core.supernet import Policy, ScheduledPolicy
    from medpipe_core.train import FitSettings, Task

# By how much a retraining that diverged is slowed down.
_SLOWER = 0.3


class TrialOverTimeError(MedpipeError):
    """A training that took longer than it may."""


class TrialTraining:
    """One training and its state.

    Args:
        network: The network, with its first weights.
        part: What it is trained on and looked at with.
        settings: How.
        seed: Seed of its order and draws.
        computing: How its steps are computed.
        hold: Where volumes are held.
        hours: How long it may take; None for as long as it does.
        second_try: Whether a training that diverges goes on from the end of the last epoch with a
            lower learning rate, once.
        saved: A state that it is gone on from.

    Attributes:
        notes: What is worth telling of it.
    """

    def __init__(
        self,
        network: nn.Module,
        part: Development,
        *,
        settings: FitSettings,
        seed: int,
        computing: Computing,
        hold: Any,
        hours: float | None,
        second_try: bool,
        saved: Mapping[str, Any] | None,
    ) -> None:
        self._part = part
        self._settings = settings
        self._hours = hours
        self._second_try = second_try
        self._fit = FitState.start(
            network,
            part.train,
            settings=settings,
            seed=seed,
            device=computing.device,
            hold=hold,
            computing=computing,
        )
        self._good: dict[str, Any] | None = None
        self._factor = 1.0
        self._earlier = 0.0
        self._began = time.perf_counter()
        self.notes: list[str] = []
        if saved is not None:
            self._fit.load_state_dict(saved["fit"])
            self._good, self._factor = saved["good"], saved["factor"]
            self._earlier, self.notes = saved["seconds"], list(saved["notes"])

    @property
    def seconds(self) -> float:
        """What it has taken so far, in earlier processes as well."""
        return self._earlier + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """Return its state between two steps."""
        return {
            "fit": self._fit.state_dict(),
            "micro_batch": self._fit.computing.micro_batch,
            "good": self._good,
            "factor": self._factor,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def run(
        self,
        task: Task,
        augment: Policy | ScheduledPolicy,
        emit: Emit,
        between: Callable[[], None],
        looking: Callable[[], None],
        *,
        stage: str,
        name: str,
    ) -> nn.Module:
        """Train to the end.

        Args:
            task: Loss and figures.
            augment: Augments the training batches.
            emit: Told of every epoch (`<stage>-epoch`), and of a second try (`<stage>-warning`).
            between: Called before every step.
            looking: Called before every batch of a validation.
            stage: Name of the stage in events.
            name: What is trained, for messages.

        Raises:
            TrainingDivergedError: A loss or weight is not finite, and there is no second try.
            TrialOverTimeError: It took too long.
        """

        def watch() -> None:
            self._before_step()
            between()

        while True:
            lr = self._settings.lr * self._factor
            try:
                return fit(
                    self._fit,
                    settings=self._settings.model_copy(update={"lr": lr}),
                    task=task,
                    augment=augment,
                    validation=self._part.validation,
                    emit=emit,
                    stage=stage,
                    name=name,
                    between=watch,
                    looking=looking,
                )
            except TrainingDivergedError as error:
                if self._good is None:
                    raise
                emit(f"{stage}-warning", message=self._slow_down(error, lr))

    def _before_step(self) -> None:
        state = self._fit
        if self._second_try and self._factor == 1 and state.step % len(state.batches) == 0:
            self._good = copied(state.state_dict())
        if self._hours is not None and self.seconds > 3600 * self._hours:
            raise TrialOverTimeError(
                f"it took longer than it may (trial.hours={self._hours:g}) and was at step "
                f"{state.step} of {self._settings.epochs * len(state.batches)}"
            )

    def _slow_down(self, error: TrainingDivergedError, lr: float) -> str:
        self._fit.load_state_dict(self._good or {})
        self._good = None
        self._factor = _SLOWER
        epoch = self._fit.step // len(self._fit.batches)
        note = (
            f"the training diverged ({error}); it went on from the end of epoch {epoch} with a "
            f"learning rate of {lr * _SLOWER:g} instead of {lr:g}"
        )
        self.notes.append(note)
        return note
