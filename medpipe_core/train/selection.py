"""The evaluation stage: the search's best candidates are trained briefly and ranked."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from medpipe_core.errors import MedpipeError, OperationError
from medpipe_core.events import Emit, silent
from medpipe_core.memory import out_of_memory, release_memory
from medpipe_core.train.fitting import TrainingDivergedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Candidate = TypeVar("Candidate")


class NoContenderError(MedpipeError):
    """No candidate could be trained."""


@dataclass(frozen=True)
class Contender(Generic[Candidate]):
    """One candidate's row in the table.

    Attributes:
        candidate: What was tried.
        figures: What the trial found; `score` ranks. Empty if it failed.
        failed: Why it failed, or the empty text.
        seconds: What the trial took.
    """

    candidate: Candidate
    figures: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """The figure of merit; −∞ for one that failed."""
        score = self.figures.get("score", -math.inf)
        return score if math.isfinite(score) else -math.inf


def contest(
    candidates: Sequence[Candidate],
    trial: Callable[[Candidate], Mapping[str, float]],
    *,
    emit: Emit = silent,
) -> list[Contender[Candidate]]:
    """Try every candidate and return the table, best first; equal scores keep their order.

    A candidate whose loss or score is not finite, of which an operation fails, or that runs out of
    memory, fails alone: its row says so and its memory is given back.

    Args:
        candidates: What to try, the most promising first.
        trial: Trains and scores one of them; a pure function of its argument.
        emit: Told of every candidate (`evaluate-candidate`).

    Raises:
        NoContenderError: All of them failed, or there is none.
    """
    if not candidates:
        raise NoContenderError("there is no candidate to evaluate: the search scored none")
    rows = []
    for number, candidate in enumerate(candidates, start=1):
        row = _try(candidate, trial)
        rows.append(row)
        shown = {name: v for name, v in row.figures.items() if math.isfinite(v)}
        emit("evaluate-candidate", number=number, of=len(candidates), figures=shown,
             failed=row.failed, seconds=row.seconds)  # fmt: skip
    if all(row.failed for row in rows):
        raise NoContenderError(
            f"all {len(rows)} candidates failed in evaluation: "
            + "; ".join(dict.fromkeys(row.failed for row in rows))
        )
    return sorted(rows, key=lambda row: -row.score)


def _try(
    candidate: Candidate, trial: Callable[[Candidate], Mapping[str, float]]
) -> Contender[Candidate]:
    began = time.perf_counter()
    try:
        figures = trial(candidate)
    except (TrainingDivergedError, OperationError) as error:
        failed = str(error)
    except Exception as error:
        if not out_of_memory(error):
            raise
        failed = "out of memory"
    else:
        finite = math.isfinite(figures["score"])
        return Contender(
            candidate,
            dict(figures),
            failed="" if finite else "its predictions are not finite numbers",
            seconds=time.perf_counter() - began,
        )
    release_memory()
    return Contender(candidate, failed=failed, seconds=time.perf_counter() - began)
