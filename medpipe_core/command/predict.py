"""`medpipe predict`: what the network of a run answers for new files."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Any

from medpipe_core.command.output import write_line
from medpipe_core.config.errors import DONE, FAILED
from medpipe_core.record.atomic_files import check_place, make_folder, write_atomically
from medpipe_core.report.printable import printable
from medpipe_core.report.text_columns import columns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

_CAUTION = "A research result, not a medical device: do not use it for diagnosis or treatment."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of the subcommand."""
    parser.add_argument("folder", metavar="DIR", help="folder of a finished run")
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="what to answer for: as the run's data were; of a run on scans also a folder of "
        "slices, files as channels ('t1.nii;t2.nii'), or a table with a column `path`",
    )
    parser.add_argument(
        "--series", metavar="WHICH", help="which of several series of a scan, such as largest"
    )
    parser.add_argument(
        "--volume", metavar="N", type=int, help="which of several volumes of a scan, from 0"
    )
    parser.add_argument("--csv", metavar="FILE", help="write the answers there as well")
    parser.add_argument("--device", default="cpu", help="where the network runs; cpu by default")
    parser.add_argument(
        "--trust-plugins", action="store_true", help="run plugin files that the run names"
    )


def answers(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the answers for all files, as plain data.

    Raises:
        ConfigurationError: The device is not there.
        RunFolderError: The folder cannot be used.
        DataError: A series or volume is asked for, and the run had arrays.
        StorageError: The table cannot be written.
    """
    from dataclasses import asdict
    from pathlib import Path

    from medpipe_core.execution.trained_model import load_model

    table = None if arguments.csv is None else Path(arguments.csv).expanduser()
    if table is not None:
        check_place(table)
    model = load_model(
        arguments.folder, device=arguments.device, trust_plugins=arguments.trust_plugins
    )
    answered = model.predict(arguments.files, series=arguments.series, volume=arguments.volume)
    found = [asdict(answer) for answer in answered]
    content = {"classes": list(model.classes), **model.rule.to_dict(), "answers": found}
    if table is not None:
        make_folder(table.parent)
        write_atomically(table, answers_csv(content))
    return content


def exit_code(_arguments: argparse.Namespace, content: dict[str, Any]) -> int:
    """Return 1 if a file has no answer; each is told by name."""
    failed = [answer for answer in content["answers"] if answer["failed"]]
    for answer in failed:
        write_line(sys.stderr, f"medpipe: {printable(answer['failed'])}")
    return FAILED if failed else DONE


def text(content: dict[str, Any]) -> Iterator[str]:
    """Iterate over the lines of the table, with what is unusual below it."""
    classes = content["classes"]
    rows: list[tuple[str, ...]] = [("case", *classes, "decision")]
    for answer in content["answers"]:
        known = answer["probabilities"]
        cells = [f"{known[name]:.3f}" if known else "–" for name in classes]
        rows.append((answer["case"], *cells, answer["decision"] or "no answer"))
    yield from columns(tuple(map(printable, row)) for row in rows)
    if content["threshold"] is not None:
        least = f"{content['threshold']:.3f}"
        yield f"{printable(classes[1])!r} is answered from a probability of {least}"
    for answer in content["answers"]:
        for warning in answer["warnings"]:
            yield printable(f"{answer['case']}: unlike the training data: {warning}")
        for note in answer["notes"]:
            yield printable(f"{answer['case']}: {note}")
    yield _CAUTION


def answers_csv(content: dict[str, Any]) -> str:
    """Return the answers as CSV: a case a line."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    classes: Sequence[str] = content["classes"]
    headings = [f"probability of {name}" for name in classes]
    writer.writerow(["case", *headings, "decision", "warnings", "failed", "notes"])
    writer.writerows(_csv_rows(content["answers"], classes))
    return file.getvalue()


def _csv_rows(found: Iterable[dict[str, Any]], classes: Sequence[str]) -> Iterator[list[str]]:
    for answer in found:
        known = answer["probabilities"]
        cells = [f"{known[name]:.6g}" if known else "" for name in classes]
        warnings = "; ".join(answer["warnings"])
        notes = "; ".join(answer["notes"])
        yield [answer["case"], *cells, answer["decision"], warnings, answer["failed"], notes]
