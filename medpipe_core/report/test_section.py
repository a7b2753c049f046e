"""What a report says of the test: figures of each class, ROC and calibration curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.record.genotype_text import Table
from medpipe_core.report.curves import Curve, svg
from medpipe_core.report.html import escape, html_table
from medpipe_core.report.summary import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_COLUMNS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "auc": "area under the ROC curve, against the others",
}
_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def test_parts(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield parts of a page; what an older run did not write is left out."""
    yield from _confusion(result)
    yield from _by_class(result)
    curves = result.get("test_curves") or ()
    if curves:
        yield from _roc(result, curves)
        yield from _calibration(curves)


test_parts.__test__ = False  # type: ignore[attr-defined]


def _confusion(result: Mapping[str, Any]) -> Iterator[str]:
    matrix = result.get("test_confusion")
    if not matrix:
        return
    names = [str(name) for name in result.get("classes") or range(len(matrix))]
    rows = [(name, *(str(cell) for cell in row)) for name, row in zip(names, matrix, strict=True)]
    headings = ("is \\ was called", *names)
    yield html_table(Table("Confusion on the test set", headings, tuple(rows)))


def _by_class(result: Mapping[str, Any]) -> Iterator[str]:
    found = result.get("test_by_class") or {}
    if found:
        rows = [
            (str(name), *(figure(figures.get(key)) for key in _COLUMNS))
            for name, figures in found.items()
        ]
        title = "Each class on the test set, the most probable class as the answer"
        yield html_table(Table(title, ("class", *_COLUMNS.values()), tuple(rows)))


def _roc(result: Mapping[str, Any], curves: Any) -> Iterator[str]:
    drawn = [
        Curve(f"{one['class']!r}", tuple((float(x), float(y)) for x, y in one["roc"]))
        for one in curves
        if one["roc"]
    ]
    if not drawn:
        return
    points = [Curve("chance", _DIAGONAL), *_operating_points(result)]
    up = "sensitivity"
    yield "<h2>ROC on the test set</h2>"
    yield svg([*drawn, *points], along="1 − specificity", title="ROC curve", up=up)


def _operating_points(result: Mapping[str, Any]) -> Iterator[Curve]:
    """Yield where the answers of two classes lie on the curve: by default, and as fitted."""
    if len(result.get("classes", ())) != 2:
        return
    threshold = result.get("decision", {}).get("threshold")
    named = {"test": "most probable class"}
    if isinstance(threshold, float):
        named["test_decided"] = f"threshold {threshold:.2f}"
    for key, name in named.items():
        figures = result.get(key, {})
        there = [_value(figures.get(what)) for what in ("specificity", "sensitivity")]
        if None not in there:
            yield Curve(name, ((1 - (there[0] or 0.0), there[1] or 0.0),))


def _calibration(curves: Any) -> Iterator[str]:
    drawn = [
        Curve(
            f"{one['class']!r}",
            tuple((bin_["probability"], bin_["share"]) for bin_ in one["calibration"]),
            tuple((bin_["probability"], bin_["low"], bin_["high"]) for bin_ in one["calibration"]),
        )
        for one in curves
        if one["calibration"]
    ]
    if not drawn:
        return
    yield "<h2>Calibration on the test set</h2>"
    yield svg(
        [*drawn, Curve("as said", _DIAGONAL)],
        along="probability after fitting, mean of the bin",
        title="Calibration curve",
        up="share that is of the class, with its 95 % interval",
    )
    told = [
        f"{one['class']!r} {_gap(one, 'raw')} as the network gives them, "
        f"{_gap(one, 'calibrated')} at the fitted temperature"
        for one in curves
    ]
    text = "; ".join(told)
    yield f"<p>{escape(f'Mean gap between probability and share, over bins: {text}.')}</p>"


def _gap(one: Mapping[str, Any], which: str) -> str:
    return figure(one["calibration_error"][which])


def _value(found: Any) -> float | None:
    value = found.get("value") if isinstance(found, dict) else found
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
