"""An optimiser's memory of each parameter, by the parameter's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def optimiser_state(
    optimiser: torch.optim.Optimizer, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return what an optimiser remembers: name → quantity → value, the tensors in use.

    Args:
        optimiser: The optimiser.
        names: A name for each parameter, in the order the optimiser was given them. Parameters
            that never had a gradient have no memory and are left out.
    """
    memory = optimiser.state_dict()["state"]
    return {names[index]: dict(quantities) for index, quantities in memory.items()}


def restore_optimiser_state(
    optimiser: torch.optim.Optimizer,
    names: Sequence[str],
    named: Mapping[str, Mapping[str, Any]],
) -> None:
    """Give an optimiser a copy of what `optimiser_state` returned, and nothing else."""
    state = optimiser.state_dict()
    state["state"] = {
        index: {what: _copied(value) for what, value in named[name].items()}
        for index, name in enumerate(names)
        if name in named
    }
    optimiser.load_state_dict(state)


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value
