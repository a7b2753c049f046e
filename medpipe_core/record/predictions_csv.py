"""Tables of volumes: which part each is in, and what a network answered for it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpipe_core.config.errors import RunFolderError
from medpipe_core.regular_files import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_COLUMNS = ["case", "patient", "part", "true class"]
_PROBABILITY = "probability of "

_LARGEST = 1 << 30


@dataclass(frozen=True)
class Prediction:
    """What was answered for one volume.

    Attributes:
        case: What the volume is called.
        patient: Whose it is; the case where every volume is a patient.
        part: `train`, `validation` or `test`.
        true: Name of its class.
        probabilities: A probability for each class.
        decision: Name of the class that was answered.
    """

    case: str
    patient: str
    part: str
    true: str
    probabilities: Sequence[float]
    decision: str


def predictions_csv(classes: Sequence[str], rows: Iterable[Prediction]) -> str:
    """Return the table as CSV: case, patient, part, true class, probabilities, decision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    headings = [f"{_PROBABILITY}{name}" for name in classes]
    writer.writerow([*_COLUMNS, *headings, "decision"])
    for row in rows:
        probabilities = [f"{p:.6g}" for p in row.probabilities]
        writer.writerow([row.case, row.patient, row.part, row.true, *probabilities, row.decision])
    return text.getvalue()


def read_predictions(path: Path) -> tuple[tuple[str, ...], list[Prediction]]:
    """Read a table of predictions; return the names of the classes, and the rows.

    Raises:
        RunFolderError: It cannot be read, or is no such table.
    """
    try:
        text = read_regular_file(path, _LARGEST).decode()
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        headings = next(reader, [])
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunFolderError(f"{path} cannot be read: {reason}") from error
    told = headings[len(_COLUMNS) : -1]
    classes = tuple(name.removeprefix(_PROBABILITY) for name in told)
    if headings != [*_COLUMNS, *(f"{_PROBABILITY}{name}" for name in classes), "decision"]:
        raise RunFolderError(f"{path} is no table of predictions")
    if any(len(row) != len(headings) for row in rows):
        raise RunFolderError(f"{path}: a row has not as many fields as there are columns")
    try:
        return classes, [
            Prediction(case, patient, part, true, [float(p) for p in told], decision)
            for case, patient, part, true, *told, decision in rows
        ]
    except ValueError as error:
        raise RunFolderError(f"{path}: a probability is no number ({error})") from error


def split_csv(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Return which volume is in which part, as CSV: case, patient, part, true class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    return text.getvalue()
