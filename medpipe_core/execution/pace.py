"""How fast a run is here: what a step of a training takes, and judging a network."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.errors import MedpipeError
from medpipe_core.events import silent
from medpipe_core.execution.training_settings import as_trial, trained_as
from medpipe_core.supernet import build_policy
from medpipe_core.train import ClassificationTask, FitState, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from medpipe_core.data import Development, LabelledVolumes
    from medpipe_core.execution.context import RunContext
    from medpipe_core.space import Genotype

_NETWORKS, _STEPS, _JUDGED, _DRAWS = 3, 4, 64, 50


class PaceError(MedpipeError):
    """No network could be trained for some steps."""


@dataclass(frozen=True)
class Pace:
    """Seconds that parts of a run take on this machine.

    Attributes:
        step: A step of training an average network of the space.
        look: Judging such a network on all volumes that candidates are judged by.
        start: Building such a network and beginning to train it.
    """

    step: float
    look: float
    start: float = 0.0


def measured_pace(
    context: RunContext, development: Development, clock: Callable[[], float]
) -> Pace:
    """Train some networks of the space for some steps, and judge them, by the clock.

    Nothing is kept of it, and nothing that the run draws afterwards depends on it.

    Raises:
        PaceError: None could be trained.
    """
    weights_half, other_half = context.halves(development)
    unseen = other_half.join(development.validation)
    paces: list[Pace] = []
    reasons: list[str] = []
    for genotype in _some(context):
        try:
            paces.append(_timed(context, genotype, weights_half, unseen, clock))
        except MedpipeError as error:
            reasons.append(str(error))
    if not paces:
        raise PaceError(
            "search.hours cannot be planned: none of the networks that were tried could be "
            f"trained ({'; '.join(dict.fromkeys(reasons))}); give search.epochs instead"
        )
    return Pace(
        statistics.fmean(pace.step for pace in paces),
        statistics.fmean(pace.look for pace in paces),
        # The first network waits for what is loaded once.
        statistics.fmean(pace.start for pace in paces[1:] or paces),
    )


def _some(context: RunContext) -> Iterator[Genotype]:
    drawn = (context.space.sample(seed=context.seed("pace", str(i))) for i in range(_DRAWS))
    admitted = [genotype for genotype in drawn if context.meter.admits(genotype)]
    yield from admitted[:_NETWORKS]


def _timed(
    context: RunContext,
    genotype: Genotype,
    training: LabelledVolumes,
    unseen: LabelledVolumes,
    clock: Callable[[], float],
) -> Pace:
    settings = trained_as(context.space, genotype, as_trial(context.keys.evaluate, 2))
    size = settings.batch_size
    few = training.take(np.arange(min(len(training), size * _STEPS)))
    started = clock()
    network = context.network(genotype, seed=0)
    computing = context.micro_batching.computing(network, size, stage="evaluate", emit=silent)
    state = FitState.start(
        network,
        few,
        settings=settings,
        seed=0,
        device=computing.device,
        hold=context.keys.hold,
        computing=computing,
    )
    began: list[float] = []
    fit(
        state,
        settings=settings.model_copy(update={"select": "last"}),
        task=ClassificationTask.for_training(context.card.classes, settings, few.labels),
        augment=build_policy(context.space, genotype, spacing=context.card.spacing),
        between=lambda: began.append(clock()),
    )
    began.append(clock())
    # The first steps wait for what is compiled and chosen once.
    step = statistics.median([after - before for before, after in pairwise(began)][1:] or began)
    judged = unseen.take(np.arange(min(len(unseen), _JUDGED)))
    before = clock()
    context.figures(network, judged)
    look = (clock() - before) * len(unseen) / len(judged)
    return Pace(step, look, began[0] - started)
