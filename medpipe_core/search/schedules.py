"""Schedules: policies that a training goes through one after another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.space import Genotype, GenotypeError
from medpipe_core.supernet.building import AUGMENTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.space import SearchSpace


class ScheduleError(MedpipeError):
    """A schedule that cannot be trained; the text says why."""


def check_schedule(space: SearchSpace, genotypes: Sequence[Genotype]) -> None:
    """Refuse genotypes that no one training can go through.

    Raises:
        ScheduleError: Two of them differ in more than their augmentations.
        InvalidGenotypeError: One is not of the space.
    """
    first, *others = (_but_for_its_policy(space, genotype) for genotype in genotypes)
    for number, other in enumerate(others, start=2):
        if other != first:
            raise ScheduleError(
                f"number {number} of the schedule differs from the first one in more than its "
                "augmentations; a training has one network and one learning rate"
            )


def schedule_json(genotypes: Sequence[Genotype]) -> str:
    """Return a schedule as JSON: a list of genotypes, in the order of the training."""
    return json.dumps([g.to_dict() for g in genotypes], indent=2, ensure_ascii=False) + "\n"


def read_schedule(text: str) -> tuple[Mapping[str, str], ...]:
    """Return the choices of a schedule's genotypes.

    Raises:
        GenotypeError: The text is no schedule.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GenotypeError(f"no schedule: it is no JSON ({error})") from error
    if not isinstance(told, list) or not told:
        raise GenotypeError("no schedule: that is a list of genotypes")
    return tuple(Genotype.from_dict(one).choices for one in told)


def _but_for_its_policy(space: SearchSpace, genotype: Genotype) -> tuple[Any, ...]:
    steps = space.resolve(genotype)
    policy = {path for step in steps if step.kind == AUGMENTATION for path in step.choices}
    return (
        [(s.path, s.name, dict(s.parameters)) for s in steps if s.kind != AUGMENTATION],
        {path: key for path, key in genotype.choices.items() if path not in policy},
    )
