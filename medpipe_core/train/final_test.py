"""The one test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.train.curves import class_curves
from medpipe_core.train.figures import (
    bootstrap,
    class_figures,
    confusion,
    majority_probabilities,
    medmnist_figures,
    per_class,
)
from medpipe_core.train.prediction import predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from medpipe_core.data import LabelledVolumes, SealedTest
    from medpipe_core.train.decision import DecisionRule
    from medpipe_core.train.task import Task

    Figures = Callable[[NDArray[np.float64], NDArray[np.int64]], dict[str, float]]


@dataclass(frozen=True)
class TestReport:
    """What the one test found.

    Attributes:
        figures: Figure → `{"value", "low", "high"}`, 95 % intervals over patients.
        decided: The same of the answers at the threshold of the rule of decision.
        majority: The same of always answering the training set's most frequent class.
        medmnist: AUC and ACC as the MedMNIST evaluator defines them.
        per_class: Precision, sensitivity, specificity and F1 of each class.
        by_class: Class → figure → `{"value", "low", "high"}`, of the most probable class.
        curves: For each class its ROC and calibration; see `class_curves`.
        confusion: Volumes by actual (row) and predicted (column) class.
        volumes: The test set, for whoever describes it.
        probabilities: `(count, classes)`.
    """

    __test__ = False  # not a test, whatever pytest makes of the name

    figures: dict[str, dict[str, float]]
    decided: dict[str, dict[str, float]]
    majority: dict[str, dict[str, float]]
    medmnist: dict[str, float]
    per_class: dict[str, list[float]]
    by_class: dict[str, dict[str, dict[str, float]]]
    curves: list[dict[str, Any]]
    confusion: list[list[int]]
    volumes: LabelledVolumes
    probabilities: NDArray[Any]


def test_once(
    network: nn.Module,
    sealed: SealedTest,
    *,
    task: Task,
    train_labels: NDArray[np.int64],
    seed: int,
    after: str,
    resamples: int,
    rule: DecisionRule,
) -> TestReport:
    """Open the sealed test set and test the one network that was chosen and trained.

    Args:
        network: The network, trained to the end.
        sealed: The test set; a second opening fails.
        task: Probabilities and figures.
        train_labels: Labels of the training set, for the majority row.
        seed: Seed of the bootstrap.
        after: Digest of what is tested, kept with the broken seal.
        resamples: Resamples of the bootstrap.
        rule: How answers follow from probabilities.

    Raises:
        TestSetError: The test set was opened before.
    """
    data = sealed.open(after=after)
    probabilities = predict(network, data, task=task)

    def with_intervals(
        answers: NDArray[np.float64], figures: Figures = task.figures
    ) -> dict[str, dict[str, float]]:
        return bootstrap(
            answers,
            data.labels,
            seed=seed,
            groups=data.groups,
            resamples=resamples,
            figures=figures,
        )

    def decided(calibrated: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
        answers = np.eye(calibrated.shape[1])[rule.decide(calibrated)]
        # What ranks is not touched by a threshold.
        return {**task.figures(answers, labels), "auc": task.figures(calibrated, labels)["auc"]}

    of_classes: dict[str, dict[str, dict[str, float]]] = {name: {} for name in task.classes}
    for key, figure in with_intervals(probabilities, class_figures).items():
        name, _, number = key.partition("/")
        of_classes[task.classes[int(number)]][name] = figure
    calibrated = rule.calibrated(probabilities)
    always = majority_probabilities(train_labels, len(data), len(task.classes))
    return TestReport(
        figures=with_intervals(probabilities),
        decided=with_intervals(calibrated, decided),
        majority=with_intervals(always),
        medmnist=medmnist_figures(probabilities, data.labels),
        per_class=per_class(probabilities, data.labels),
        by_class=of_classes,
        curves=class_curves(probabilities, calibrated, data.labels, task.classes),
        confusion=confusion(probabilities, data.labels).tolist(),
        volumes=data,
        probabilities=probabilities,
    )


test_once.__test__ = False  # type: ignore[attr-defined]
