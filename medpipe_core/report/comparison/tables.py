"""A comparison as tables and sentences, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.record.genotype_text import Table, as_text
from medpipe_core.report import summary
from medpipe_core.report.comparison.content import MEASURES
from medpipe_core.report.comparison.folds import fold_notes
from medpipe_core.report.comparison.labels import shown
from medpipe_core.report.comparison.records import STAGES
from medpipe_core.report.progress import duration
from medpipe_core.report.summary import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTHING = "–"
_MOST_KEYS = 3
_NOT_SHOWN = ("searcher", "space_digest")  # every name begins with the one; the other says nothing
_STAGES = dict(zip(STAGES, ("search", "evaluation", "retraining"), strict=True))


def comparison_text(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a comparison, for a terminal."""
    for problem in content["datasets"]:
        yield f"{problem['dataset']}: {headline(problem)}"
        for table in tables_of(problem):
            yield from ("", as_text(table))
        yield ""
        yield from (f"Note: {note}" for note in problem["warnings"])
        yield from (f"Note: {note}" for group in problem["groups"] for note in fold_notes(group))
    yield from left_out_lines(content)
    yield from content["methods"]


def pooled_text(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of what cross-validation found, for a terminal; none without folds."""
    for problem in content["datasets"]:
        table = _pooled(problem)
        if table.rows:
            yield from ("", as_text(table), "")
        yield from (f"Note: {note}" for group in problem["groups"] for note in fold_notes(group))


def headline(problem: Mapping[str, Any]) -> str:
    """Say how many runs of how many groups there are, and whether their cost is equal."""
    groups, cost = problem["groups"], problem["cost"]
    runs = sum(len(group["runs"]) for group in groups)
    counted = f"{_plural(runs, 'run')} in {_plural(len(groups), 'group')}"
    if len(groups) < 2 or not cost["equal"]:
        return counted
    steps = dict.fromkeys(f"{cost[end]['steps']:.0f}" for end in ("least", "most"))
    return f"{counted}, at equal cost ({' to '.join(steps)} steps of weights a run)"


def left_out_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Name the settings that made no groups as asked, and the runs that were left out, and why."""
    if content["ignored"]:
        yield f"Ignored as asked: {', '.join(content['ignored'])}"
    for one in content["left_out"]:
        yield f"Left out: {one['folder']}: {one['reason']}"


def tables_of(problem: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the tables of one dataset; those without rows are left out."""
    makers = (
        _pooled, _figures, _regrets, _tests, _agreements, _steps, _seconds, _settings, _choices,
    )  # fmt: skip
    yield from (table for table in (make(problem) for make in makers) if table.rows)


def runs_table(problem: Mapping[str, Any]) -> Table:
    """Return a table with a row for each run."""
    rows = [
        (
            group["label"],
            str(run["seed"]) if run["fold"] is None else f"{run['seed']}, fold {run['fold']}",
            figure(run["test"].get("accuracy")),
            _number(run["regret"]),
            _agreed(run["agreement"]),
            str(sum(run["steps"].values())),
            duration(sum(run["seconds"].values())),
            run["folder"],
        )
        for group in problem["groups"]
        for run in group["runs"]
    ]
    headings = (
        "group", "seed", "test accuracy", "regret", "Kendall's tau", "steps", "time", "folder",
    )  # fmt: skip
    return Table("Runs", headings, tuple(rows))


def _figures(problem: Mapping[str, Any]) -> Table:
    rows = []
    for measure in MEASURES:
        for group in problem["groups"]:
            test = group["figures"]["test"].get(measure)
            if test is not None:
                validation = group["figures"]["validation"].get(measure)
                name = summary.MEASURES.get(measure, measure)
                rows.append((name, *_spread_row(group, test), _spread(validation)))
    headings = (
        "measure", "group", "seeds", "test (95 % interval)", "lowest to highest", "validation",
    )  # fmt: skip
    return Table("How good the runs are, mean over seeds", headings, tuple(rows))


def _pooled(problem: Mapping[str, Any]) -> Table:
    rows = []
    for group in problem["groups"]:
        pooled = group["pooled"] or {}
        for name in pooled.get("figures", ()):
            told = (figure(pooled[kind][name]) for kind in ("figures", "decided"))
            rows.append((summary.measure(name, pooled["classes"]), group["label"], *told))
    headings = ("measure", "group", "most probable class (95 % interval)", "as decided")
    return Table("Cross-validation, all test folds together", headings, tuple(rows))


def _regrets(problem: Mapping[str, Any]) -> Table:
    rows = [
        (*_spread_row(group, group["regret"]["final"]), f"{100 * group['regret']['zero']:.0f} %")
        for group in problem["groups"]
        if group["regret"]
    ]
    headings = ("group", "seeds", "regret (95 % interval)", "lowest to highest", "runs with 0")
    return Table("How far from the known best answer, mean over seeds", headings, tuple(rows))


def _tests(problem: Mapping[str, Any]) -> Table:
    rows = [
        (
            summary.MEASURES.get(row["measure"], row["measure"]),
            f"{row['one']} − {row['other']}",
            str(row["seeds"]),
            f"{row['difference']:+.3f}".replace("-", "−"),
            _probability(row["p"]) + ("" if row["exact"] else " (sampled)"),
            _probability(row["p_holm"]),
        )
        for row in problem["tests"]
    ]
    headings = ("measure", "groups", "common seeds", "difference", "p", "p (Holm)")
    return Table("Differences on common seeds", headings, tuple(rows))


def _agreements(problem: Mapping[str, Any]) -> Table:
    rows = []
    for group in problem["groups"]:
        within = [run["agreement"] for run in group["runs"] if run["agreement"]]
        if within:
            taus = [one["tau"] for one in within]
            spread = f"{min(taus):.2f} to {max(taus):.2f}".replace("-", "−")
            rows.append((group["label"], str(len(within)), _agreed(group["agreement"]), spread))
    headings = ("group", "runs", "Kendall's tau (95 % interval)", "lowest to highest")
    title = "How the search's scores and those after short training agree"
    return Table(title, headings, tuple(rows))


def _steps(problem: Mapping[str, Any]) -> Table:
    return _costs(problem, "steps", "Steps of weights, mean over runs", lambda n: f"{n:.0f}")


def _seconds(problem: Mapping[str, Any]) -> Table:
    return _costs(problem, "seconds", "Time, mean over runs", duration)


def _costs(problem: Mapping[str, Any], cost: str, title: str, told: Any) -> Table:
    rows = [
        (group["label"], *(told(group[cost][stage]) for stage in (*STAGES, "all")))
        for group in problem["groups"]
    ]
    return Table(title, ("group", *_STAGES.values(), "all"), tuple(rows))


def _settings(problem: Mapping[str, Any]) -> Table:
    groups = problem["groups"]
    keys = dict.fromkeys(key for group in groups for key in group["settings"])
    rows = [
        (key, *(shown(g["settings"][key]) if key in g["settings"] else _NOTHING for g in groups))
        for key in keys
        if key not in _NOT_SHOWN
    ]
    labels = tuple(group["label"] for group in groups)
    return Table("How the groups differ", ("setting", *labels), tuple(rows))


def _choices(problem: Mapping[str, Any]) -> Table:
    groups = problem["groups"]
    paths = dict.fromkeys(path for group in groups for path in group["choices"])
    rows = [(path, *(_keys(g["choices"].get(path, {})) for g in groups)) for path in paths]
    return Table(
        "What was chosen, and how often", ("choice", *(g["label"] for g in groups)), tuple(rows)
    )


def _keys(counts: Mapping[str, int]) -> str:
    shown = [f"{key} ×{count}" for key, count in list(counts.items())[:_MOST_KEYS]]
    return ", ".join(shown + ["…"] * (len(counts) > _MOST_KEYS)) or _NOTHING


def _spread_row(group: Mapping[str, Any], spread: Mapping[str, Any]) -> tuple[str, ...]:
    extremes = f"{spread['least']:.3f} to {spread['most']:.3f}"
    return group["label"], str(spread["count"]), _spread(spread), extremes


def _spread(spread: Mapping[str, Any] | None) -> str:
    return _NOTHING if spread is None else figure({"value": spread["mean"], **spread})


def _agreed(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return _NOTHING
    middle = f"{found['tau']:.2f}"
    if found["low"] is not None:
        middle += f" ({found['low']:.2f} to {found['high']:.2f})"
    return middle.replace("-", "−")


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3g}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
