"""Needs: what a searcher wants to be told of each step, by name, for one that asks no probe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe

GATE_GRADIENTS = "gate_gradients"
VALIDATION_LOSS = "validation_loss"
CLEAN_VALIDATION = "clean_validation"
AGREEMENT = "agreement"
LOOK_AHEAD = "look_ahead"
PROBE = "probe"
NEEDS = frozenset({GATE_GRADIENTS, VALIDATION_LOSS, CLEAN_VALIDATION, AGREEMENT, LOOK_AHEAD, PROBE})
_CLEAN = frozenset({CLEAN_VALIDATION, AGREEMENT, LOOK_AHEAD})
_OF_THE_BATCH = NEEDS - {PROBE}


def asking_for(needs: frozenset[str]) -> Callable[[Probe], Outcome]:
    """Return what asks a step's probe for these needs, of `NEEDS`, and nothing else."""

    def ask(probe: Probe) -> Outcome:
        if not needs & _OF_THE_BATCH:
            return probe.outcome
        if not needs & {AGREEMENT, LOOK_AHEAD}:
            probe.step()
        compared = AGREEMENT in needs
        found = probe.loss(
            augmented=not needs & _CLEAN, gates=GATE_GRADIENTS in needs, weights=compared
        )
        asked = {"loss": found.value, **{f"gate {path}": g for path, g in found.gates.items()}}
        if compared:
            asked["agreement"] = probe.cosine(found.weights)
        if LOOK_AHEAD in needs:
            probe.step()
            asked["after"] = probe.loss().value
        # All at once: a device is waited for once.
        told = dict(zip(asked, probe.numbers(*asked.values()), strict=True))
        return replace(
            probe.outcome,
            validation_loss=told["loss"],
            validated=found.choices,
            gate_gradients={path: told[f"gate {path}"] for path in found.gates},
            agreement=told.get("agreement"),
            improvement=told["loss"] - told["after"] if "after" in told else None,
        )

    return ask
