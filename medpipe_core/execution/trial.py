"""A trial: one genotype, trained and judged.

A trial is a pure function of configuration, genotype, fidelity and seed that returns a record.
Scoring by training, the evaluation of candidates and retraining are trials; who runs them, and
where, is an executor's business.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

from medpipe_core.data import Development
from medpipe_core.errors import MedpipeError, OperationError
from medpipe_core.execution.fidelity import Fidelity
from medpipe_core.execution.training_settings import as_trial, trained_as
from medpipe_core.memory import out_of_memory, release_memory
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import blocks_named, build_policy
from medpipe_core.train import (
    ClassificationTask,
    FitSettings,
    FitState,
    TrainingDivergedError,
    fit,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from medpipe_core.events import Emit
    from medpipe_core.execution.context import RunContext
    from medpipe_core.space import Genotype

__all__ = ["Fidelity", "Purpose", "Trial", "TrialFailedError", "TrialRecord", "TrialRunner"]

Purpose = Literal["trial", "evaluate", "retrain"]


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
    """

    genotype: Genotype
    fidelity: Fidelity
    seed: int
    purpose: Purpose
    initial: Mapping[str, Tensor] | None = None
    keep_weights: bool = False


@dataclass(frozen=True)
class TrialRecord:
    """What came of a trial.

    Attributes:
        trial: The trial.
        figures: Figures on volumes that it did not train on; `score` ranks. Empty if it failed.
        failed: Why it failed, or the empty text.
        seconds: What it took.
        weights: The weights it ended with, by name, if they were to be kept.
    """

    trial: Trial
    figures: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""
    seconds: float = 0.0
    weights: Mapping[str, Tensor] | None = None

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

    def run(self, trial: Trial, emit: Emit) -> TrialRecord:
        """Train and judge; what fails is a record.

        A loss or score that is not finite, an operation or block that raises, and memory run out
        fail the trial alone.

        Args:
            trial: What to run.
            emit: Told of every epoch (`<purpose>-epoch`).
        """
        began = time.perf_counter()
        try:
            network, figures = self._trained(trial, emit)
        except (TrainingDivergedError, OperationError) as error:
            failed = str(error)
        except Exception as error:
            if not out_of_memory(error):
                raise
            failed = "out of memory"
        else:
            if math.isfinite(figures["score"]) or trial.purpose == "retrain":
                weights = _weights(network) if trial.keep_weights else None
                return TrialRecord(trial, figures, "", time.perf_counter() - began, weights)
            failed = "its predictions are not finite numbers"
            return TrialRecord(trial, figures, failed, time.perf_counter() - began)
        release_memory()
        return TrialRecord(trial, failed=failed, seconds=time.perf_counter() - began)

    def _trained(self, trial: Trial, emit: Emit) -> tuple[nn.Module, dict[str, float]]:
        context = self._context
        seed = child_seed(trial.seed, trial.purpose, trial.genotype.digest)
        part = self._part(trial)
        settings = self._settings(trial)
        network = context.network(trial.genotype, seed=seed)
        task = ClassificationTask.for_training(context.card.classes, settings, part.train.labels)
        with blocks_named(network, context.space, trial.genotype):
            if trial.initial is not None:
                network.load_state_dict(trial.initial)
                context.recalibrate(network, part.train)
            state = FitState.start(
                network,
                part.train,
                settings=settings,
                seed=seed,
                device=context.device,
                hold=context.keys.hold,
                computing=context.micro_batching.computing(
                    network, settings.batch_size, stage=trial.purpose, emit=emit
                ),
            )
            trained = fit(
                state,
                settings=settings,
                task=task,
                augment=build_policy(context.space, trial.genotype),
                validation=part.validation,
                emit=emit,
                stage=trial.purpose,
                name=trial.genotype.digest,
            )
            return trained, context.figures(trained, part.validation)

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


@torch.no_grad()
def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in network.state_dict().items()}
