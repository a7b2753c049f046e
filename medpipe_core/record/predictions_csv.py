"""What a network answered for each volume, as the text of `predictions.csv`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
    headings = [f"probability of {name}" for name in classes]
    writer.writerow(["case", "patient", "part", "true class", *headings, "decision"])
    for row in rows:
        probabilities = [f"{p:.6g}" for p in row.probabilities]
        writer.writerow([row.case, row.patient, row.part, row.true, *probabilities, row.decision])
    return text.getvalue()
