"""The files of a comparison: all numbers, a page with plots, and regret over cost as a table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import StorageError
from medpipe_core.config.plain_values import user_path
from medpipe_core.record.atomic_files import make_folder, write_atomically, write_json
from medpipe_core.report.comparison.folds import fold_notes
from medpipe_core.report.comparison.regret import COSTS
from medpipe_core.report.comparison.tables import (
    headline,
    left_out_lines,
    runs_table,
    tables_of,
)
from medpipe_core.report.curves import Curve, staircase, svg
from medpipe_core.report.html import escape, html_page, html_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JSON, PAGE, REGRET = "comparison.json", "comparison.html", "regret.csv"
_ALONG = {
    "steps": "steps of weights, search and evaluation",
    "seconds": "seconds, search and evaluation",
}
_COLUMNS = ("dataset", "group", "unit", "cost", "mean", "low", "high")


def write_comparison(content: Mapping[str, Any], folder: str | Path) -> Path:
    """Write a comparison into a folder, made where it is missing; return the page.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        path = user_path(folder)
    except ValueError as error:
        raise StorageError(f"--out: {error}") from None
    make_folder(path)
    write_json(path / JSON, content)
    write_atomically(path / REGRET, regret_csv(content))
    write_atomically(path / PAGE, comparison_html(content))
    return path / PAGE


def comparison_html(content: Mapping[str, Any]) -> str:
    """Return a comparison as a page of HTML that needs nothing else."""
    title = "Comparison of runs"
    return html_page(title, [f"<h1>{title}</h1>", *_body(content)])


def regret_csv(content: Mapping[str, Any]) -> str:
    """Return regret over cost as CSV: mean and 95 % interval over seeds at each cost."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for problem in content["datasets"]:
        for group in problem["groups"]:
            for cost in COSTS:
                for point in _points(group, cost):
                    row = (point["cost"], point["mean"], point["low"], point["high"])
                    writer.writerow((problem["dataset"], group["label"], cost, *row))
    return text.getvalue()


def _body(content: Mapping[str, Any]) -> Iterator[str]:
    for problem in content["datasets"]:
        yield f"<h1>{escape(problem['dataset'])}</h1><p>{escape(headline(problem))}</p>"
        yield from (f'<p class="caution">{escape(note)}</p>' for note in problem["warnings"])
        for group in problem["groups"]:
            yield from (f'<p class="caution">{escape(note)}</p>' for note in fold_notes(group))
        yield from _plots(problem)
        yield from map(html_table, (*tables_of(problem), runs_table(problem)))
    lines = (*left_out_lines(content), *content["methods"])
    yield from (f"<p>{escape(line)}</p>" for line in lines)


def _plots(problem: Mapping[str, Any]) -> Iterator[str]:
    for cost in COSTS:
        curves = [_curve(g, cost) for g in problem["groups"] if _points(g, cost)]
        if curves:
            title = f"Regret over {cost}"
            drawing = svg(
                list(map(staircase, curves)),
                along=_ALONG[cost],
                title=title,
                up="regret, mean over seeds and 95 % interval",
            )
            yield f"<h2>{title}</h2>\n{drawing}"


def _curve(group: Mapping[str, Any], cost: str) -> Curve:
    points = _points(group, cost)
    band = tuple((p["cost"], p["low"], p["high"]) for p in points if p["low"] is not None)
    return Curve(group["label"], tuple((p["cost"], p["mean"]) for p in points), band)


def _points(group: Mapping[str, Any], cost: str) -> list[dict[str, Any]]:
    return group["regret"]["over"][cost] if group["regret"] else []
