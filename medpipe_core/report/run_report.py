"""The report of a run: one HTML file that needs nothing else, made from the run's own files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medpipe_core.config import yaml_values
from medpipe_core.config.errors import RunFolderError
from medpipe_core.record.genotype_text import Table, count
from medpipe_core.record.run_folder import open_folder
from medpipe_core.report.checking import Reported, checked
from medpipe_core.report.curves import Curve, stage_curves, svg
from medpipe_core.report.data_section import data_parts
from medpipe_core.report.html import escape, html_page, html_table
from medpipe_core.report.progress import duration
from medpipe_core.report.summary import (
    CAUTION,
    FRONT,
    figure,
    figures_table,
    front_tables,
    known_answer,
    known_names,
    measure,
    notes_on,
    verdict,
)
from medpipe_core.report.test_section import test_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_PARTS = {"validation_": "validation ", "chance_": "by chance: ", "train_": "training "}
_TITLES = {"search": "Search", "evaluate": "Comparing candidates", "retrain": "Retraining"}


def write_report(path: str | Path) -> Path:
    """Write the report of a finished run into its folder again, and return where.

    Raises:
        RunFolderError: It is no run folder, the run did not finish, or a file is damaged.
        StorageError: The report cannot be written.
    """
    folder = open_folder(path)
    result, events, configuration = folder.result(), folder.events(), folder.configuration()
    checked(Reported, result, str(folder.path / folder.RESULT))
    try:
        text = report_html(result, events, configuration, folder.data_card())
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RunFolderError(
            f"{folder.path}: what stands in it is not as a run writes it "
            f"({type(error).__name__}: {error}); was it written by another version, or changed?"
        ) from error
    return folder.write_text(folder.REPORT, text)


def report_html(
    result: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    configuration: Mapping[str, Any],
    card: Mapping[str, Any] | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        result: What `result.json` holds.
        events: The journal.
        configuration: What `config.yaml` holds.
        card: What `data_card.json` holds; None for a run that has none.
    """
    title = f"{result['space']} on {result['dataset']}, {result['searcher']}, seed {result['seed']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict">{escape(verdict(result))}</p>',
        f'<p class="caution">{escape(CAUTION)}</p>',
        *(f"<p>{escape(note)}</p>" for note in _notes(result)),
        html_table(figures_table(result)),
        *test_parts(result),
        *data_parts(result, card or {}),
        *_found(events),
        html_table(_candidates(result, str(configuration.get("evaluate.rank_by", "accuracy")))),
        *(f"{html_table(table)}\n<p>{FRONT}</p>" for table in front_tables(result)),
        *_stages(events, result.get("classes", ())),
        html_table(_times(result)),
        html_table(_keys(configuration)),
    ]
    return html_page(title, body)


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    yield from filter(None, [known_names(result), known_answer(result), *notes_on(result)])


def _found(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Show the tables of the chosen genotype, which the journal holds."""
    for event in events:
        if event["event"] == "chosen":
            yield from (
                html_table(Table(t["title"], tuple(t["headings"]), tuple(map(tuple, t["rows"]))))
                for t in event.get("tables", [])
            )


def _candidates(result: Mapping[str, Any], rank_by: str) -> Table:
    chosen, classes = result["genotype_digest"], result.get("classes", ())
    rows = [
        (
            f"{row['genotype_digest']}{' (chosen)' if row['genotype_digest'] == chosen else ''}",
            figure(row["validation"].get(rank_by)),
            row.get("failed") or ", ".join(_others(row, rank_by, classes)),
            str(row["epoch"]),
            count(row["parameters"]),
            count(row["multiply_adds"]),
        )
        for row in result["candidates"]
    ]
    ranking = f"{measure(rank_by, classes)}, which ranks"
    headings = ("genotype", ranking, "other figures", "epoch", "parameters", "multiply-adds")
    title = "Candidates that were compared, on volumes that they were not trained on"
    return Table(title, headings, tuple(rows))


def _others(row: Mapping[str, Any], rank_by: str, classes: Sequence[str]) -> list[str]:
    figures = row["validation"].items()
    named = [(name, figure(v)) for name, v in figures if name not in (rank_by, "score")]
    return [f"{measure(name, classes)} {text}" for name, text in named if text != "–"][:4]


def _stages(events: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Iterator[str]:
    for stage, title in _TITLES.items():
        drawings = [
            svg(
                [_named(curve, classes) for curve in curves],
                along=along,
                title=f"{title}: {kind} by {along}",
            )
            for along in ("epoch", "step")
            for kind, curves in stage_curves(events, stage, along=along).items()
        ]
        if drawings:
            yield f"<h2>{escape(title)}</h2>"
            yield from drawings


def _named(curve: Curve, classes: Sequence[str]) -> Curve:
    """Return a curve under what its figure is called, of the class that it is of."""
    part = next((part for part in _PARTS if curve.name.startswith(part)), "")
    name = measure(curve.name.removeprefix(part), classes)
    return replace(curve, name=f"{_PARTS.get(part, '')}{name}")


def _times(result: Mapping[str, Any]) -> Table:
    rows = [(stage, duration(seconds)) for stage, seconds in result["seconds"].items()]
    total = ("all", duration(sum(result["seconds"].values())))
    return Table("Time", ("stage", "took"), (*rows, total))


def _keys(configuration: Mapping[str, Any]) -> Table:
    rows = tuple((key, yaml_values.write(value)) for key, value in configuration.items())
    return Table("Configuration", ("key", "value"), rows)
