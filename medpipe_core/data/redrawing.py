"""Chains that draw: what is done to a scan once, and what is drawn anew in each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.data.preparation import MadeStep, RandomPreparation, finished, made_steps, passed
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core.data.preparation import Chain, Preparations, Volume


def split_chain(chain: Chain, registry: Preparations) -> tuple[Chain, Chain]:
    """Return the steps whose result can be kept, and those that every epoch of a training repeats.

    What is repeated begins with the first step that draws in training, or with one before it that
    training has other parameters for: what is kept is the same for training and for judging.

    Returns:
        Two chains; the second one is empty where nothing is drawn in training.
    """
    steps = made_steps(chain, registry, training=True)
    if not any(_draws(step) for step in steps):
        return chain, []
    differs = (
        bool(asked.get("training")) or _draws(made)
        for asked, made in zip(chain, steps, strict=True)
    )
    first = next(number for number, different in enumerate(differs) if different)
    return chain[:first], chain[first:]


class RedrawnSteps:
    """The second part of a chain, made: a seed says how it is drawn.

    Args:
        chain: Steps, as `split_chain` returns them.
        registry: Who knows the preparations.
        first: Number of the first step in the whole chain, from 1.
    """

    def __init__(self, chain: Chain, registry: Preparations, *, first: int) -> None:
        self._judged = made_steps(chain, registry, first=first)
        self._training = made_steps(chain, registry, training=True, first=first)

    def judged(self, scan: Volume) -> Volume:
        """Return a scan as it is judged: the same every time.

        Raises:
            DataError: A step failed, or what comes out is no volume of a network.
        """
        return finished(passed(scan, self._judged))

    def drawn(self, scan: Volume, *, case: str, seed: int) -> NDArray[np.float32]:
        """Return the values of a scan as one epoch of a training sees it.

        Args:
            scan: The scan, after the steps before.
            case: What it is called: cases are drawn independently.
            seed: Seed of the epoch.

        Raises:
            DataError: As of `judged`.
        """
        seed = child_seed(seed, case)
        return finished(passed(scan, [_redrawn(step, seed) for step in self._training])).values


def _draws(step: MadeStep) -> bool:
    preparation = step.preparation
    return isinstance(preparation, RandomPreparation) and preparation.redrawn(0) is not None


def _redrawn(step: MadeStep, seed: int) -> MadeStep:
    preparation = step.preparation
    if not isinstance(preparation, RandomPreparation):
        return step
    return MadeStep(step.where, preparation.redrawn(child_seed(seed, step.where)) or preparation)
