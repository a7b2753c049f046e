"""What every dataset promises of its labels: they mean the same in every part."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import mannwhitneyu

from medpipe_core.testing.checking import require
from medpipe_core.testing.dataset_parts import PartsContract

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data import LabelledVolumes

_BLOCKS = 4  # along each axis, whose means a plain rule is learned from
_MOST_VOLUMES = 500  # of a part
_PENALTY = 1.0
_LEARNS = 0.01  # probability of doing so well by chance
_SWAPPED = 0.001  # of doing so badly


class LabelsContract(PartsContract):
    """The part of `DatasetContract` that is about what labels mean."""

    def test_labels_mean_the_same_in_every_part(self) -> None:
        """What a plain rule learns from training is not turned round in validation or test."""
        classes = self.make().card.classes
        parts = {name: _examples(part) for name, part in self.parts().items()}
        volumes, labels = parts.pop("train")
        halves = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
        for one, other in itertools.combinations(range(len(classes)), 2):
            known = np.isin(labels, (one, other))
            first, second = (known & half for half in (halves, ~halves))
            learned = [
                _order(_scores(volumes[a], labels[a] == one, volumes[b]), labels[b] == one)
                for a, b in ((first, second), (second, first))
            ]
            if max(greater for greater, _ in learned) > _LEARNS:
                continue  # so plain a rule cannot tell them apart, or there are too few volumes
            for name, (others, marks) in parts.items():
                asked = np.isin(marks, (one, other))
                scores = _scores(volumes[known], labels[known] == one, others[asked])
                _, less = _order(scores, marks[asked] == one)
                require(
                    less > _SWAPPED,
                    f"the labels of {classes[one]!r} and {classes[other]!r} seem to have changed "
                    f"places in {name}: a plain rule that tells them apart in one half of the "
                    "training volumes, learned from the other half, takes the one for the other "
                    f"there (p = {less:.1g}). Compare how labels are read for each part",
                )


def _examples(part: LabelledVolumes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return means of blocks and spreads of volumes, and labels; of a patient one of each class."""
    rows = np.arange(len(part))
    if part.groups is not None:
        whose = [f"{name}/{label}" for name, label in zip(part.groups, part.labels, strict=True)]
        rows = np.sort(np.unique(whose, return_index=True)[1])
    rows = rows[:: max(1, len(rows) // _MOST_VOLUMES)]
    return np.stack([_features(part.volumes[row]) for row in rows]), part.labels[rows]


def _features(volume: NDArray[np.generic]) -> NDArray[np.float64]:
    values = volume.astype(np.float64)
    of_all = [volume.mean(), volume.std(), *np.quantile(values, [0.1, 0.9])]
    for axis in range(1, values.ndim):
        blocks = np.array_split(values, min(_BLOCKS, values.shape[axis]), axis)
        values = np.concatenate([block.mean(axis, keepdims=True) for block in blocks], axis)
    return np.concatenate([values.ravel(), of_all])


def _scores(
    known: NDArray[np.float64], is_one: NDArray[np.bool_], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Learn by ridge regression which volumes are of a class; return what it says of others."""
    if not len(others) or not is_one.any() or is_one.all():
        return np.zeros(len(others))
    centre, spread = known.mean(0), known.std(0)
    spread[spread == 0] = np.inf
    known, others = (known - centre) / spread, (others - centre) / spread
    alike = known @ known.T / known.shape[1] + _PENALTY * np.eye(len(known)) / np.sqrt(len(known))
    found: NDArray[np.float64] = (
        others @ known.T / known.shape[1] @ np.linalg.solve(alike, is_one - is_one.mean())
    )
    return found


def _order(scores: NDArray[np.float64], is_one: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how probable it is by chance that scores are so much greater, and so much less."""
    if not is_one.any() or is_one.all():
        return 1.0, 1.0
    pair = (scores[is_one], scores[~is_one])
    greater, less = (mannwhitneyu(*pair, alternative=which).pvalue for which in ("greater", "less"))
    return float(greater), float(less)
