"""Needs: what a searcher wants to be told of each step, by name, for one that asks no probe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
        told = _told(probe, needs)
        if LOOK_AHEAD in needs:
            probe.step()
            (after,) = probe.numbers(probe.loss().value)
            told["improvement"] = told["validation_loss"] - after
        return replace(probe.outcome, **told)

    return ask


def _told(probe: Probe, needs: frozenset[str]) -> dict[str, Any]:
    """Return the fields of an outcome that one look at the validation batch gives."""
    compared = AGREEMENT in needs
    found = probe.loss(
        augmented=not needs & _CLEAN, gates=GATE_GRADIENTS in needs, weights=compared
    )
    cosines = [probe.cosine(found.weights)] if compared else []
    loss, *others = probe.numbers(found.value, *found.gates.values(), *cosines)
    return {
        "validation_loss": loss,
        "validated": found.choices,
        "gate_gradients": dict(zip(found.gates, others, strict=False)),
        "agreement": others[-1] if compared else None,
    }
