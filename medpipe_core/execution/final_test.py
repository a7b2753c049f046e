"""The one test of a run, as `result.json` tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.data import appearance, describe, overlap, shared_patients
from medpipe_core.execution.data_card import DataCard, card_notes, groups_known_in_part
from medpipe_core.execution.results import Tested
from medpipe_core.record.predictions_csv import Prediction, predictions_csv, split_csv
from medpipe_core.seeding import child_seed
from medpipe_core.supernet import Averaged
from medpipe_core.train import ClassificationTask, fit_rule, missing_classes, predict, test_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core.config.configuration import Configuration
    from medpipe_core.data import DatasetCard, Development, LabelledVolumes, SealedTest
    from medpipe_core.execution.results import Trained
    from medpipe_core.train import DecisionRule


class TorchFinalTest:
    """Tests the chosen network on the sealed test set.

    Args:
        configuration: The run's configuration.
        card: The dataset's card.
    """

    def __init__(self, configuration: Configuration, card: DatasetCard) -> None:
        self._keys = configuration.keys
        self._card = card
        self._task = ClassificationTask(card.classes)

    def __call__(
        self, trained: Trained, sealed: SealedTest, development: Development, *, after: str
    ) -> Tested:
        """Fit the decision on validation volumes, open the test set, test, and describe all sets.

        `test` has the figures of the most probable class; `test_decided` those of the answers at
        the fitted threshold. Where predictions are averaged over symmetries, they are so everywhere
        here, so that temperature and threshold suit them.
        """
        train, validation = development.train, development.validation
        network = trained.network
        if trained.symmetries:
            network = Averaged(network, trained.symmetries)
        seen = {
            "train": predict(network, train, task=self._task),
            "validation": predict(network, validation, task=self._task),
        }
        seed = child_seed(self._keys.seed, "decision")
        rule = fit_rule(seen["validation"], validation.labels, seed=seed)
        report = test_once(
            network,
            sealed,
            task=self._task,
            train_labels=train.labels,
            seed=child_seed(self._keys.seed, "test"),
            after=after,
            resamples=self._keys.test.resamples,
            rule=rule,
        )
        seen["test"] = report.probabilities
        averaged = {"symmetries": [one.to_plain() for one in trained.symmetries]}
        sets = {"train": train, "validation": validation, "test": report.volumes}
        card = DataCard(self._card, development, seed=self._keys.seed).content(
            {"validation": trained.validation, "test": report.figures}, report.volumes
        )
        content = {
            "test": report.figures,
            "test_decided": report.decided,
            "majority": report.majority,
            "decision": {**rule.to_dict(), **averaged},
            "test_per_class": report.per_class,
            "test_by_class": report.by_class,
            "test_curves": report.curves,
            "test_confusion": report.confusion,
            "test_medmnist": report.medmnist,
            "classes": list(self._card.classes),
            "data": {
                **{name: describe(data, self._card.classes) for name, data in sets.items()},
                "test_in_train": overlap(report.volumes, train),
                "test_in_validation": overlap(report.volumes, validation),
                "notes": [
                    *development.notes,
                    *sealed.notes,
                    *_shared_patients(report.volumes, development),
                    *groups_known_in_part(sets),
                    *card_notes(card),
                    *missing_classes(
                        {f"The {n} set": data.labels for n, data in sets.items()},
                        self._card.classes,
                    ),
                ],
            },
            "card": self._card.to_dict(),
            "shortcuts": card["shortcuts"],
            "appearance": appearance(train.volumes),
        }
        rows = [
            row
            for name, data in sets.items()
            for row in _predictions(name, data, seen[name], rule, self._card.classes)
        ]
        split = [
            row for name, data in sets.items() for row in part_rows(name, data, self._card.classes)
        ]
        decision = {**rule.to_dict(), **averaged, "classes": list(self._card.classes)}
        predictions = predictions_csv(self._card.classes, rows)
        return Tested(content, decision, predictions, split_csv(split), card)


def development_rows(
    development: Development, card: DatasetCard
) -> Iterator[tuple[str, str, str, str]]:
    """Iterate over training and validation volumes as `part_rows` does."""
    for part in ("train", "validation"):
        yield from part_rows(part, getattr(development, part), card.classes)


def part_rows(
    part: str, data: LabelledVolumes, classes: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Iterate over volumes: case, patient (the case where none is named), part, true class."""
    for number, label in enumerate(data.labels):
        case = f"{part}-{number:05}" if data.cases is None else str(data.cases[number])
        patient = case if data.groups is None else str(data.groups[number])
        yield case, patient, part, classes[label]


def _predictions(
    part: str,
    data: LabelledVolumes,
    probabilities: NDArray[np.float64],
    rule: DecisionRule,
    classes: Sequence[str],
) -> Iterator[Prediction]:
    calibrated = rule.calibrated(probabilities)
    answers = rule.decide(calibrated)
    for number, row in enumerate(part_rows(part, data, classes)):
        yield Prediction(*row, calibrated[number].tolist(), classes[answers[number]])


def _shared_patients(test: LabelledVolumes, development: Development) -> Iterator[str]:
    for name in ("train", "validation"):
        both = shared_patients(test, getattr(development, name))
        if both:
            yield f"{len(both)} patients of the test set are in the {name} set as well."
