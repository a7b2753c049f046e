"""Narrower networks of the same genotype, for trials that may spend less."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from medpipe_core.space import declared_widths
from medpipe_core.supernet.building import NETWORK_KINDS, BindingError, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medpipe_core.space import Catalogue, Step


def narrowed(steps: Iterable[Step], catalogue: Catalogue, share: float) -> dict[str, Any]:
    """Return the parameters of a genotype's blocks and models at a share of their width.

    Args:
        steps: What the genotype runs.
        catalogue: Who makes it.
        share: In (0, 1]; every number of channels becomes the nearest whole share, at least 1.

    Returns:
        Path of a step → all its parameters.

    Raises:
        BindingError: A block or model does not say what its width is, or none has one.
    """
    network = [step for step in steps if step.kind in NETWORK_KINDS]
    found = {step.path: dict(step.parameters) for step in network}
    if share == 1:
        return found
    changed = False
    for step in network:
        for name, channels in _widths_of(step, catalogue).items():
            found[step.path][name] = max(round(share * channels), 1)
            changed = True
    if not changed:
        raise BindingError(
            f"a network of width {share:g} of what it is was asked for, but no block of this "
            "genotype has a width of its own; use a width of 1 (search.trial_width=1)"
        )
    return found


def _widths_of(step: Step, catalogue: Catalogue) -> dict[str, int]:
    factory = catalogue.factory(step.kind, step.name)
    names = declared_widths(factory)
    if names is None:
        origin = origin_of(catalogue, step.kind, step.name)
        raise BindingError(
            f"{step.path}: {step.kind} {step.name!r} of {origin} does not say which of its "
            "parameters are its width, so it cannot be made narrower; decorate it with "
            '@medpipe_core.widths("channels"), or use a width of 1 (search.trial_width=1)'
        )
    taken = inspect.signature(factory).parameters
    unknown = [name for name in names if name not in taken]
    if unknown:
        raise BindingError(
            f"{step.path}: {step.kind} {step.name!r} says that its width is {unknown[0]!r}, but "
            f"takes no such parameter; it takes {', '.join(taken)}"
        )
    values = {name: step.parameters.get(name, taken[name].default) for name in names}
    return {name: int(value) for name, value in values.items() if isinstance(value, int)}
