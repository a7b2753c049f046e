"""Whether the figure that ranks candidates can be told on the volumes that rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.data import absent_classes
from medpipe_core.errors import MedpipeError, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core.train.settings import RankBy


class RankingError(MedpipeError):
    """Candidates cannot be ranked by the figure that was asked for, however they are trained."""


def check_ranking(
    rank_by: RankBy, labels: NDArray[np.int64], classes: Sequence[str], *, among: str
) -> None:
    """Check, before anything is trained, that the figure that ranks can be told.

    The area under the ROC curve needs a volume of every class; accuracies can always be told.

    Args:
        rank_by: The figure.
        labels: Labels of the volumes that rank, `(count,)`.
        classes: Names of all classes.
        among: How the message calls these volumes.

    Raises:
        RankingError: A class is missing.
    """
    absent = absent_classes(labels, classes) if rank_by == "auc" else []
    if absent:
        raise RankingError(
            f"rank_by=auc: no volume of {_quoted(absent)} is among {among} "
            f"({counted(len(labels), 'volume')}), so that no candidate's area under the ROC curve "
            "can be told. Use rank_by=balanced_accuracy, give these volumes some of each class, or "
            "leave the class out of the card"
        )


def missing_classes(parts: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> list[str]:
    """Return a note for each part of the data that lacks a class.

    Args:
        parts: How a note calls each part → its labels.
        classes: Names of all classes.
    """
    absent = {part: absent_classes(labels, classes) for part, labels in parts.items()}
    return [f"{part} has no volume of {_quoted(names)}." for part, names in absent.items() if names]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
