"""Regret over cost: how far off the best known answer was, after so many steps or seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.report.comparison.statistics import bands, bootstrap_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medpipe_core.report.comparison.records import Run

COSTS = ("steps", "seconds")
Curve = list[tuple[float, float]]


def regret_of(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Describe the regret of a group's runs; None where a run's is not known.

    Returns:
        `final`: that of the chosen genotypes; `zero`: the share of runs that found a best answer;
        `over`: cost → the mean and its interval at every cost at which a run's best changed hands.
    """
    final = [run.result.regret for run in runs]
    known = [regret for regret in final if regret is not None]
    if len(known) < len(final):
        return None
    return {
        "final": vars(bootstrap_spread(known)),
        "zero": sum(regret == 0 for regret in known) / len(known),
        "over": {cost: _band([regret_curve(run, cost) for run in runs]) for cost in COSTS},
    }


def regret_curve(run: Run, cost: str) -> Curve:
    """Return a run's regret over `steps` or `seconds` of search and evaluation, as steps.

    Each point holds until the next. The last is the genotype that evaluation chose.
    """
    points = [(float(getattr(b, cost)), b.regret) for b in run.bests if b.regret is not None]
    spent = run.steps if cost == "steps" else run.seconds
    if run.result.regret is not None:
        points.append((float(spent["search"] + spent["evaluate"]), run.result.regret))
    return sorted(points, key=lambda point: point[0])


def _band(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return mean and interval over seeds from where every curve has begun."""
    start = max(curve[0][0] for curve in curves)
    at = sorted({cost for curve in curves for cost, _ in curve if cost >= start})
    values = np.array([_at(curve, at) for curve in curves])
    low, high = bands(values)
    means = values.mean(axis=0).tolist()
    return [
        {"cost": cost, "mean": mean, "low": least, "high": most}
        for cost, mean, least, most in zip(at, means, low, high, strict=True)
    ]


def _at(curve: Curve, costs: Sequence[float]) -> list[float]:
    known = [cost for cost, _ in curve]
    places = np.searchsorted(known, costs, side="right") - 1
    return [curve[place][1] for place in places]
