"""A trial: one genotype, trained and judged.

A trial is a pure function of configuration, genotype, fidelity and seed that returns a record.
Scoring by training, the evaluation of candidates and retraining are trials; who runs them, and
where, is an executor's business.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import torch

from medpipe_core.data import Development
from medpipe_core.errors import MedpipeError, place_of
from medpipe_core.execution.fidelity import Fidelity
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.training_settings import as_trial, trained_as
from medpipe_core.execution.trial_training import TrialTraining
from medpipe_core.memory import out_of_memory, release_memory
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import ScheduledPolicy, blocks_named, build_policy
from medpipe_core.train import ClassificationTask, FitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.space import Genotype
    from medpipe_core.supernet import Policy

__all__ = ["Fidelity", "Purpose", "Trial", "TrialFailedError", "TrialRecord", "TrialRunner"]

Purpose = Literal["trial", "evaluate", "retrain"]
P = ParamSpec("P")


class TrialFailedError(MedpipeError):
    """A trial that had to succeed and did not."""


@dataclass(frozen=True)
class Trial:
    """What is to be trained and judged.

    Attributes:
        genotype: The genotype.
        fidelity: How much of a training.
        seed: Seed of weights, order and augmentation.
        purpose: `"trial"`, `"evaluate"` or `"retrain"`: whose settings it has, and which volumes.
            A retraining sees the whole training set and is judged on the validation set; the
            others see the half that search trains on and are judged on all others.
        initial: Weights to begin with, by name; None for fresh ones.
        keep_weights: Whether the record has the weights.
        schedule: Genotypes whose policies it goes through in equal stretches; none for its own.
    """

    genotype: Genotype
    fidelity: Fidelity
    seed: int
    purpose: Purpose
    initial: Mapping[str, Tensor] | None = None
    keep_weights: bool = False
    schedule: tuple[Genotype, ...] = ()

    @property
    def name(self) -> str:
        """What tells it from every other trial of its run."""
        fidelity = "x".join(map(str, self.fidelity.to_dict().values()))
        policies = "".join(f"/{genotype.digest}" for genotype in self.schedule)
        return f"trial/{self.purpose}/{self.genotype.digest}/{fidelity}/{self.seed}{policies}"


@dataclass(frozen=True)
class TrialRecord:
    """What came of a trial.

    Attributes:
        trial: The trial.
        figures: Figures on volumes that it did not train on; `score` ranks. Empty if it failed.
        failed: Why it failed, or the empty text.
        seconds: What it took.
        weights: The weights it ended with, by name, if they were to be kept.
        notes: What is worth telling of it, though it did not fail.
        told: Whether an earlier process, which was stopped, has told of it.
    """

    trial: Trial
    figures: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""
    seconds: float = 0.0
    weights: Mapping[str, Tensor] | None = None
    notes: tuple[str, ...] = ()
    told: bool = False

    @property
    def score(self) -> float:
        """The figure of merit; −∞ for one that failed."""
        score = self.figures.get("score", -math.inf)
        return score if math.isfinite(score) else -math.inf


class TrialRunner:
    """Runs trials of one run, one after another, in this process.

    Args:
        context: The run's configuration, bound.
        development: The run's development data.
    """

    def __init__(self, context: RunContext, development: Development) -> None:
        self._context = context
        self._development = development
        self._search_part: Development | None = None

    def run(self, trial: Trial, emit: Emit, memory: RunMemory | None = None) -> TrialRecord:
        """Train and judge; whatever goes wrong within the trial is a record with a reason.

        Args:
            trial: What to run.
            emit: Told of every epoch (`<purpose>-epoch`).
            memory: What it is gone on with, and who is called between steps.
        """
        began = time.perf_counter()
        listeners = _Listeners()
        try:
            network, figures, notes = self._trained(trial, emit, memory or RunMemory(), listeners)
        except Exception as error:
            if listeners.raised is error:
                raise
            failed = "out of memory" if out_of_memory(error) else _fault(error)
        else:
            weights = _weights(network) if trial.keep_weights else None
            finite = math.isfinite(figures["score"]) or trial.purpose == "retrain"
            failed = "" if finite else "its predictions are not finite numbers"
            seconds = time.perf_counter() - began
            return TrialRecord(trial, figures, failed, seconds, weights, notes)
        release_memory()
        return TrialRecord(trial, failed=failed, seconds=time.perf_counter() - began)

    def _trained(
        self, trial: Trial, emit: Emit, memory: RunMemory, listeners: _Listeners
    ) -> tuple[nn.Module, dict[str, float], tuple[str, ...]]:
        context = self._context
        emit = listeners.noting(_naming(emit, trial.genotype.digest))
        looking = listeners.noting(memory.waiting)
        seed = child_seed(trial.seed, trial.purpose, trial.genotype.digest)
        part = self._part(trial)
        settings = self._settings(trial)
        network = context.network(trial.genotype, seed=seed, width=trial.fidelity.width)
        training: TrialTraining | None = None
        with (
            blocks_named(network, context.space, trial.genotype),
            memory.under_way(trial.name, lambda: training and training.state_dict()) as saved,
        ):
            if trial.initial is not None and saved is None:
                network.load_state_dict(trial.initial)
                context.recalibrate(network, part.train, looking)
            size = settings.batch_size
            training = TrialTraining(
                network,
                part,
                settings=settings,
                seed=seed,
                computing=context.micro_batching.computing(
                    network, size, stage=trial.purpose, emit=emit
                )
                if saved is None
                else context.micro_batching.as_before(saved["micro_batch"]),
                hold=context.keys.hold,
                hours=None if trial.purpose == "retrain" else context.keys.trial.hours,
                second_try=trial.purpose == "retrain",
                saved=saved,
            )
            trained = training.run(
                ClassificationTask.for_training(context.card.classes, settings, part.train.labels),
                self._augment(trial),
                emit,
                listeners.noting(memory.between_steps),
                looking,
                stage=trial.purpose,
                name=trial.genotype.digest,
            )
            figures = context.figures(trained, part.validation, looking)
        return trained, figures, tuple(training.notes)

    def _augment(self, trial: Trial) -> Policy | ScheduledPolicy:
        space, spacing = self._context.space, self._context.card.spacing
        if not trial.schedule:
            return build_policy(space, trial.genotype, spacing=spacing)
        return ScheduledPolicy([build_policy(space, g, spacing=spacing) for g in trial.schedule])

    def _settings(self, trial: Trial) -> FitSettings:
        keys, epochs = self._context.keys, trial.fidelity.epochs
        match trial.purpose:
            case "trial":
                settings: FitSettings = as_trial(keys.evaluate, epochs)
            case "evaluate":
                settings = keys.evaluate.model_copy(update={"epochs": epochs})
            case "retrain":
                settings = keys.retrain.model_copy(update={"epochs": epochs})
        return trained_as(self._context.space, trial.genotype, settings)

    def _part(self, trial: Trial) -> Development:
        whole, fidelity = self._development, trial.fidelity
        part = whole if trial.purpose == "retrain" else self._searched()
        return Development(
            fidelity.of_training(part.train, seed=self._context.seed("fidelity")),
            fidelity.of_validation(part.validation),
        )

    def _searched(self) -> Development:
        """Return what search sees, made once: one half to train on, all else to judge by."""
        if self._search_part is None:
            weights_half, other_half = self._context.halves(self._development)
            unseen = other_half.join(self._development.validation)
            self._search_part = Development(weights_half, unseen)
        return self._search_part


def _naming(emit: Emit, digest: str) -> Emit:
    """Return a listener that says of which genotype an epoch of a candidate is: several may run."""

    def named(event: str, /, **fields: Any) -> None:
        emit(event, **({"genotype": digest} if event == "trial-epoch" else {}), **fields)

    return named


class _Listeners:
    """Remembers what those raised who were told of a trial: it is not the trial's to fail of."""

    def __init__(self) -> None:
        self.raised: Exception | None = None

    def noting(self, call: Callable[P, None]) -> Callable[P, None]:
        """Return the same call, its errors remembered."""

        def told(*arguments: P.args, **fields: P.kwargs) -> None:
            try:
                call(*arguments, **fields)
            except Exception as error:
                self.raised = error
                raise

        return told


def _fault(error: Exception) -> str:
    """Return what a trial raised; operations and blocks have been named where they raised it."""
    if isinstance(error, MedpipeError):
        return str(error)
    return f"{type(error).__name__}: {error}{place_of(error)}"


@torch.no_grad()
def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in network.state_dict().items()}
