"""Whose fault it is that a trial raised something."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from medpipe_core.errors import MedpipeError, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.space import Genotype, SearchSpace


_NAMED = 3


def fault_of(error: BaseException, space: SearchSpace, genotype: Genotype) -> str:
    """Say what a trial raised, where, and of which plugin the operation was.

    Args:
        error: What was raised.
        space: The space of the trial.
        genotype: What was trained.
    """
    if isinstance(error, MedpipeError):
        return str(error)
    what = f"{type(error).__name__}: {error}"
    by_package: dict[str, dict[str, None]] = {}
    for package, who in _operations(space, genotype):
        by_package.setdefault(package, {})[who] = None
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):  # the innermost is the nearest to the fault
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in by_package:
            whose = [*by_package[package]]
            more = " or another of its operations" if len(whose) > _NAMED else ""
            place = f"{frame.f_code.co_filename}:{line}"
            return f"{' or '.join(whose[:_NAMED])}{more} raised {what} (at {place})"
    return f"{what}{place_of(error)}"


def _operations(space: SearchSpace, genotype: Genotype) -> Iterator[tuple[str, str]]:
    """Iterate over a genotype's operations: the package of each, and how messages call it."""
    catalogue = space.catalogue
    if catalogue is None:
        return
    for step in space.resolve(genotype):
        factory = catalogue.factory(step.kind, step.name)
        distribution, version = catalogue.origin(step.kind, step.name)
        package = getattr(factory, "__module__", "").partition(".")[0]
        yield package, f"{step.kind} {step.name!r} of {distribution} {version}"
