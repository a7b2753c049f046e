"""What a report says of the data: counts, facts of the scans, what is in two parts, shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.record.genotype_text import Table, count
from medpipe_core.report.html import escape, html_table
from medpipe_core.report.summary import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SAID = ("source", "licence")
_MANY, _FEW = 10_000, 1e-3
_ALONE = (
    "How well each fact alone predicts the class, by a model fitted on the training set. A network "
    "may have learned what such a fact gives away. p is how often chance ranks as well."
)


def data_parts(result: Mapping[str, Any], card: Mapping[str, Any]) -> Iterator[str]:
    """Yield parts of a page.

    Args:
        result: What `result.json` holds.
        card: What `data_card.json` holds; empty for a run that has none.
    """
    parts = card.get("parts") or {
        name: one for name, one in result.get("data", {}).items() if isinstance(one, dict)
    }
    if parts:
        yield html_table(_counts(result, parts))
        about = result.get("card", {})
        told = [f"{name.capitalize()}: {about[name]}." for name in _SAID if about.get(name)]
        yield f"<p>{escape(' '.join(told))}</p>"
    if card:
        tables = (_shortcuts(card), _facts(card), _across(card))
        yield html_table(tables[0])
        yield f"<p>{_ALONE}</p>"
        yield from (html_table(table) for table in tables[1:])


def _counts(result: Mapping[str, Any], parts: Mapping[str, Any]) -> Table:
    classes = [str(name) for name in result.get("classes", [])]
    rows = [
        (
            name,
            _told(one.get("count")),
            _told(one.get("patients")),
            *(_told(one.get("per_class", {}).get(label)) for label in classes),
            *(_told(one.get(what)) for what in ("blank", "doubles", "near_doubles")),
        )
        for name, one in parts.items()
    ]
    title = f"Data: {result.get('card', {}).get('title', result['dataset'])}"
    headings = ("set", "volumes", "patients", *classes, "blank", "doubles", "near-doubles")
    return Table(title, headings, tuple(rows))


def _shortcuts(card: Mapping[str, Any]) -> Table:
    named = [name for name in ("validation", "test") if name in card["parts"]]
    rows = [
        (
            str(one["fact"]),
            *(text for part in named for text in _judged(one[part], f"{one[part]['p']:.2g}")),
            "shortcut" if one["shortcut"] else "",
        )
        for one in card["shortcuts"]
    ]
    network = card.get("network", {})
    if network:
        told = (_judged(network.get(part, {}), "") for part in named)
        cells = (text for one in told for text in one)
        rows.append(("the network", *cells, ""))
    headings = ("fact", *(f"{what}, {part}" for part in named for what in ("AUC", "accuracy", "p")))
    return Table("Shortcuts", (*headings, ""), tuple(rows))


def _judged(figures: Mapping[str, Any], last: str) -> tuple[str, str, str]:
    return figure(figures.get("auc")), figure(figures.get("accuracy")), last


def _facts(card: Mapping[str, Any]) -> Table:
    """Show each fact in each class of the training set, and in each part."""
    parts = card["parts"]
    by_class = parts["train"]["facts_by_class"]
    rows = [
        (
            name,
            *(_summary(facts.get(name, {})) for facts in by_class.values()),
            *(_summary(part["facts"].get(name, {})) for part in parts.values()),
        )
        for name in parts["train"]["facts"]
    ]
    headings = ("fact", *(f"train, {label}" for label in by_class), *parts)
    return Table("Facts of the scans: median (lowest to highest)", headings, tuple(rows))


def _summary(told: Mapping[str, Any]) -> str:
    if "values" in told:
        shown = [f"{text} ×{count}" for text, count in list(told["values"].items())[:3]]
        return ", ".join(shown + ["…"] * (told["different"] > len(shown)))
    if "median" not in told:
        return "–"
    unknown = f"{told['unknown']} unknown" if told["unknown"] else ""
    low, middle, high = (_short(told[name]) for name in ("low", "median", "high"))
    between = "" if low == high else f"{low} to {high}"
    more = ", ".join(filter(None, [between, unknown]))
    return f"{middle} ({more})" if more else middle


def _short(value: float) -> str:
    """Return a number without powers of ten, but for very small ones."""
    if abs(value) >= _MANY:
        return count(round(value))
    return f"{value:.4g}" if abs(value) >= _FEW or not value else f"{value:.1g}"


def _across(card: Mapping[str, Any]) -> Table:
    rows = [
        (
            " and ".join(one["parts"]),
            str(one["identical"]),
            str(one["near"]),
            "; ".join(f"{a} and {b}" for a, b, _ in one["examples"]) or "–",
            ", ".join(one["patients"][:5]) or "–",
        )
        for one in card["across"]
    ]
    headings = ("sets", "identical volumes", "near-doubles", "such as", "patients in both")
    return Table("What is in two sets", headings, tuple(rows))


def _told(value: Any) -> str:
    return "–" if value is None else str(value)
