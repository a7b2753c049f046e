"""Folds of cross-validation, pooled: one figure over all volumes, each tested by its own fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import RunFolderError
from medpipe_core.execution.pooled_test import pooled_test
from medpipe_core.record.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from medpipe_core.report.comparison.grouping import Group


def pooled_folds(group: Group) -> dict[str, Any] | None:
    """Return the pooled figures of a group's folds; None where it has none.

    Folds that are missing are named under `missing`; what keeps them from being pooled is told
    under `failed`.
    """
    runs = [run for run in group.runs if run.fold is not None]
    if not runs:
        return None
    folds = int(group.settings.get("data.folds") or 0)
    missing = {
        str(seed): sorted(set(range(folds)) - {fold for s, fold in group.places if s == seed})
        for seed in group.seeds
    }
    told: dict[str, Any] = {"folds": folds, "missing": {k: v for k, v in missing.items() if v}}
    places = [(run.result.seed, run.folder) for run in runs]
    try:
        return {**told, **pooled_test(places, RunFolder.PREDICTIONS)}
    except RunFolderError as error:
        return {**told, "failed": str(error)}


def fold_notes(group: Mapping[str, Any]) -> Iterator[str]:
    """Say how many volumes were pooled, and what is missing."""
    pooled = group["pooled"]
    if pooled is None:
        return
    label = group["label"]
    if "failed" in pooled:
        yield f"{label}: folds cannot be pooled: {pooled['failed']}"
        return
    seeds = f" by {len(group['seeds'])} seeds" if len(group["seeds"]) > 1 else ""
    yield (
        f"{label}: pooled over {pooled['cases']} volumes of {pooled['patients']} patients, each "
        f"tested{seeds} in its fold of {pooled['folds']}"
    )
    for seed, folds in pooled["missing"].items():
        yield (
            f"{label}: of seed {seed} the folds {', '.join(map(str, folds))} are missing, so the "
            "pooled figures are of a part of the volumes"
        )
