"""The one test of a run, as `result.json` tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medpipe_core.data import describe, overlap, shared_patients
from medpipe_core.seeding import child_seed
from medpipe_core.train import ClassificationTask, test_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import DatasetCard, Development, LabelledVolumes, SealedTest
    from medpipe_core.execution.results import Trained


class TorchFinalTest:
    """Tests the chosen network on the sealed test set.

    Args:
        configuration: The run's configuration.
        card: The dataset's card.
    """

    def __init__(self, configuration: Configuration, card: DatasetCard) -> None:
        self._keys = configuration.keys
        self._card = card

    def __call__(
        self, trained: Trained, sealed: SealedTest, development: Development, *, after: str
    ) -> dict[str, Any]:
        """Open the test set, test, and describe all three sets."""
        report = test_once(
            trained.network,
            sealed,
            task=ClassificationTask(self._card.classes),
            train_labels=development.train.labels,
            seed=child_seed(self._keys.seed, "test"),
            after=after,
            resamples=self._keys.test.resamples,
        )
        sets = {
            "train": development.train,
            "validation": development.validation,
            "test": report.volumes,
        }
        return {
            "test": report.figures,
            "majority": report.majority,
            "test_per_class": report.per_class,
            "test_confusion": report.confusion,
            "test_medmnist": report.medmnist,
            "classes": list(self._card.classes),
            "data": {
                **{name: describe(data, self._card.classes) for name, data in sets.items()},
                "test_in_train": overlap(report.volumes, development.train),
                "test_in_validation": overlap(report.volumes, development.validation),
                "notes": [*development.notes, *_shared_patients(report.volumes, development)],
            },
            "card": self._card.to_dict(),
        }


def _shared_patients(test: LabelledVolumes, development: Development) -> Iterator[str]:
    for name in ("train", "validation"):
        both = shared_patients(test, getattr(development, name))
        if both:
            yield f"{len(both)} patients of the test set are in the {name} set as well."
