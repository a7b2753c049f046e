"""All numbers of a comparison, as plain data."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from medpipe_core.record.journal import plain_fields
from medpipe_core.report import summary
from medpipe_core.report.comparison.folds import pooled_folds
from medpipe_core.report.comparison.grouping import Group, Problem, mergers, problems
from medpipe_core.report.comparison.labels import differing
from medpipe_core.report.comparison.records import STAGES, Run, read_runs
from medpipe_core.report.comparison.regret import COSTS, regret_curve, regret_of
from medpipe_core.report.comparison.statistics import (
    Agreement,
    agreement,
    holm,
    normal_spread,
    paired_test,
    pooled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

MEASURES = ("accuracy", "balanced_accuracy", "auc")
"""The measures that are tested and shown; all others are in the JSON."""

REGRET = "regret"
METHODS = (
    "Intervals of figures are Student's t over seeds, 95 %, cut to what a figure can be; those of "
    "regret and of Kendall's tau "
    "are percentile bootstraps, 95 %.",
    "Groups are compared on common seeds by a two-sided paired permutation test of the mean "
    "difference, exact up to 13 seeds; p is corrected for the number of pairs of groups (Holm). "
    "With n seeds p is at least 2 / 2^n.",
    "Kendall's tau-b is between a candidate's score in the search and after short training, "
    "within each run; it is pooled over runs by their pairs.",
    "Folds of cross-validation are pooled: every volume counts with the prediction of the fold "
    "that tested it, and intervals are percentile bootstraps over patients, 95 %; the area under "
    "the ROC curve is that within each fold. In the other tables a fold counts as a run, as a seed "
    "does; that training sets overlap is not allowed for.",
    "Steps are steps of weights: those of search, evaluation and retraining.",
)
_EQUAL = 1.05
_FEWEST_SEEDS = 6  # 2 / 2⁶ is the first p below .05


def compare(paths: Iterable[str | Path], *, ignore: Iterable[str] = ()) -> dict[str, Any]:
    """Compare finished runs: groups that differ by more than the seed, dataset by dataset.

    Args:
        paths: Run folders, or folders that hold such.
        ignore: Settings that make no groups either, such as `searcher.genotype` where each seed of
            a baseline trains what another run of that seed found.

    Returns:
        Plain data, as `comparison.json` holds it.

    Raises:
        RunFolderError: A path holds no run, or none is finished.
        ConfigurationError: No run has a setting that is to be ignored.
    """
    runs, left_out = read_runs(paths)
    ignored = frozenset(ignore)
    found, replaced = problems(runs, ignored)
    content: dict[str, Any] = plain_fields(
        {
            "format": "medpipe-comparison-1",
            "methods": METHODS,
            "ignored": sorted(ignored),
            "datasets": [_problem(problem) for problem in found],
            "left_out": [
                {"folder": str(one.folder), "reason": one.reason} for one in left_out + replaced
            ],
        }
    )
    return content


def _problem(problem: Problem) -> dict[str, Any]:
    groups = problem.groups
    return {
        "dataset": problem.label,
        "groups": [_group(group, differing([g.settings for g in groups])) for group in groups],
        "tests": list(_tests(groups)),
        "cost": _cost(groups),
        "warnings": list(_warnings(groups)),
    }


def _group(group: Group, keys: Sequence[str]) -> dict[str, Any]:
    runs = group.runs
    agreements = [_agreement(run) for run in runs]
    return {
        "label": group.label,
        "settings": {key: group.settings[key] for key in keys if key in group.settings},
        "seeds": group.seeds,
        "pooled": pooled_folds(group),
        "figures": {
            kind: _figures([getattr(run.result, kind) for run in runs])
            for kind in ("test", "validation")
        },
        "regret": regret_of(runs),
        "steps": _costs([run.steps for run in runs]),
        "seconds": _costs([run.seconds for run in runs]),
        "agreement": _plain(pooled([one for one in agreements if one is not None])),
        "choices": _choices(runs),
        "runs": [_run(run, found) for run, found in zip(runs, agreements, strict=True)],
    }


def _run(run: Run, agreed: Agreement | None) -> dict[str, Any]:
    result = run.result
    return {
        "folder": str(run.folder),
        "seed": result.seed,
        "fold": run.fold,
        "test": result.test,
        "validation": result.validation,
        "regret": result.regret,
        "regret_over": {cost: regret_curve(run, cost) for cost in COSTS},
        "steps": run.steps,
        "seconds": run.seconds,
        "device": run.device,
        "agreement": _plain(agreed),
    }


def _figures(found: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """Describe every figure that all runs have."""
    names = [name for name in found[0] if all(one.get(name) is not None for one in found)]
    return {
        name: vars(normal_spread([one[name] or 0.0 for one in found], _limits(name)))
        for name in names
    }


def _limits(name: str) -> tuple[float, float]:
    return (0, 1) if name in summary.MEASURES else (-math.inf, math.inf)


def _costs(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean cost of each stage and of all."""
    means = {stage: sum(one[stage] for one in found) / len(found) for stage in STAGES}
    return {**means, "all": sum(means.values())}


def _choices(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Count what was chosen; a choice without effect in a run says nothing and is not counted."""
    paths = dict.fromkeys(path for run in runs for path in run.choices)
    return {
        path: dict(Counter(r.choices[path] for r in runs if path in r.choices).most_common())
        for path in paths
    }


def _agreement(run: Run) -> Agreement | None:
    pairs = [
        (searched, tried)
        for row in run.result.candidates
        if not row.failed
        and (searched := row.search.get("score")) is not None
        and (tried := row.validation.get("score")) is not None
    ]
    return agreement([one for one, _ in pairs], [other for _, other in pairs])


def _tests(groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    for measure in (*MEASURES, REGRET):
        found = [
            {"measure": measure, "one": one.label, "other": other.label, **tested}
            for one, other in itertools.combinations(groups, 2)
            if (tested := _test(one, other, measure))
        ]
        for row, corrected in zip(found, holm([row["p"] for row in found]), strict=True):
            yield {**row, "p_holm": corrected}


def _test(one: Group, other: Group, measure: str) -> dict[str, Any]:
    mine, theirs = _by_seed(one, measure), _by_seed(other, measure)
    common = sorted(mine.keys() & theirs.keys())
    tested = paired_test([mine[s] for s in common], [theirs[s] for s in common])
    return {} if tested is None else vars(tested)


def _by_seed(group: Group, measure: str) -> dict[tuple[int, int], float]:
    """Return the measure of each run, by seed and fold."""
    values = {
        run.place: run.result.regret if measure == REGRET else run.result.test.get(measure)
        for run in group.runs
    }
    return {place: value for place, value in values.items() if value is not None}


def _cost(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the groups of least and most steps, and whether they are equal within 5 %."""
    steps = {group.label: _costs([run.steps for run in group.runs])["all"] for group in groups}
    least, most = min(steps, key=steps.__getitem__), max(steps, key=steps.__getitem__)
    return {
        "least": {"group": least, "steps": steps[least]},
        "most": {"group": most, "steps": steps[most]},
        "equal": steps[most] <= _EQUAL * steps[least],
    }


def _warnings(groups: Sequence[Group]) -> Iterator[str]:
    for key, count in mergers(groups):
        yield (
            f"{count} groups differ by {key} alone and have no seed in common; with --ignore {key} "
            "they are one"
        )
    cost = _cost(groups)
    if not cost["equal"]:
        most, least = cost["most"], cost["least"]
        yield (
            f"the cost is not equal: {most['group']} takes {most['steps']:.0f} steps of weights, "
            f"{least['group']} {least['steps']:.0f}"
        )
    devices = sorted({run.device for group in groups for run in group.runs if run.device})
    if len(devices) > 1:
        yield f"seconds cannot be compared: the runs ran on {', '.join(devices)}"
    pairs = itertools.combinations(groups, 2)
    fewest = min((len(a.places & b.places) for a, b in pairs), default=_FEWEST_SEEDS)
    if fewest < _FEWEST_SEEDS:
        yield (
            f"some groups have fewer than {_FEWEST_SEEDS} seeds in common (the fewest: {fewest}); "
            "so few cannot show a difference at 5 %"
        )


def _plain(found: Agreement | None) -> dict[str, Any] | None:
    return None if found is None else vars(found)
