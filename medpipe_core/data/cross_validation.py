"""Cross-validation: of the volumes that a dataset hands out, one fold after another is tested."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.dataset import Development, KnownAnswer, Outline, PreparedByChain, SealedTest
from medpipe_core.data.errors import DataError
from medpipe_core.data.splits import folds as folds_of
from medpipe_core.data.splits import split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data.dataset import Dataset
    from medpipe_core.data.preparation import Chain
    from medpipe_core.data.volumes import DatasetCard, LabelledVolumes
    from medpipe_core.space import Genotype

_PARTS = ("train", "validation")


def cross_validated(
    labels: NDArray[np.int64],
    groups: NDArray[Any] | None,
    *,
    fold: int,
    folds: int,
    validation: float,
    seed: int,
) -> dict[str, NDArray[np.int64]]:
    """Return the parts of one fold: it is tested, and of the others a share is for validation.

    Args:
        labels: `(count,)`, the class of each volume.
        groups: `(count,)`, the patient of each; None where every volume is a patient.
        fold: Which fold is tested, from 0.
        folds: How many there are.
        validation: Share of all volumes that validation gets.
        seed: Seed of the folds, which are the same for every `fold`.

    Returns:
        `train`, `validation` and `test` → sorted positions.

    Raises:
        DataError: There are fewer patients than folds, or nothing is left to train on.
    """
    found = folds_of(labels, groups, count=folds, seed=seed)
    share = validation / (1 - 1 / folds)
    if share >= 1:
        raise DataError(
            f"{folds} folds and a share of {validation:g} for validation leave nothing to train on"
        )
    rest = np.sort(np.concatenate([part for number, part in enumerate(found) if number != fold]))
    one, other = split(
        labels[rest], None if groups is None else groups[rest], share=share, seed=seed
    )
    return {"train": rest[other], "validation": rest[one], "test": found[fold]}


class CrossValidatedDataset:
    """A dataset of which one fold of training and validation volumes is the test set.

    The dataset's own test set stays closed. The folds are the same for every seed of a run.

    Args:
        dataset: The dataset.
        fold: Which fold is tested, from 0.
        folds: How many there are.
    """

    def __init__(self, dataset: Dataset, *, fold: int, folds: int) -> None:
        self._dataset = dataset
        self._fold, self._folds = fold, folds

    @property
    def card(self) -> DatasetCard:
        """The dataset's card, with a note."""
        card = self._dataset.card
        return replace(card, notes=(*card.notes, fold_note(self._fold, self._folds, own_test=True)))

    def development(self) -> Development:
        """Return training and validation volumes of the other folds."""
        whole, parts, notes = self._parts()
        validation = whole.take(parts["validation"]).fixed()
        return Development(whole.take(parts["train"]), validation, notes)

    def sealed_test(self) -> SealedTest:
        """Return the fold, sealed."""

        def read() -> LabelledVolumes:
            whole, parts, _ = self._parts()
            return whole.take(parts["test"]).fixed()

        card = self._dataset.card
        return SealedTest(read, outline=Outline((card.channels, *card.size), np.float32))

    def preparation(self) -> Chain | None:
        """Return the chain that the dataset prepares its scans by."""
        dataset = self._dataset
        return dataset.preparation() if isinstance(dataset, PreparedByChain) else None

    def regret(self, genotype: Genotype) -> float | None:
        """Return how far a genotype is from the best answer, where the dataset knows it."""
        dataset = self._dataset
        return dataset.regret(genotype) if isinstance(dataset, KnownAnswer) else None

    def _parts(self) -> tuple[LabelledVolumes, dict[str, NDArray[np.int64]], tuple[str, ...]]:
        development = self._dataset.development()
        train, validation = (_named(getattr(development, part), part) for part in _PARTS)
        whole = train.join(validation)
        parts = cross_validated(
            whole.labels,
            whole.groups,
            fold=self._fold,
            folds=self._folds,
            validation=len(validation) / len(whole),
            seed=0,
        )
        return whole, parts, development.notes


def _named(data: LabelledVolumes, part: str) -> LabelledVolumes:
    """Return volumes that have names, by which predictions of several folds are told apart."""
    if data.cases is not None:
        return data
    return replace(data, cases=np.array([f"{part}-{number:05}" for number in range(len(data))]))


def fold_note(fold: int, folds: int, *, own_test: bool) -> str:
    """Return what a reader of figures should know of a fold."""
    what = "training and validation volumes; the dataset's own test set stays closed"
    return (
        f"Cross-validation: tested on fold {fold} of {folds} (from 0) of all "
        f"{what if own_test else 'scans'}."
    )
