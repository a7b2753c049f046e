from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from medpipe_core.train import ClassificationTask, FitSettings, balanced_weights, log_loss

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.3], [-1.0, 1.0]])
LABELS = torch.tensor([0, 1, 1])


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced_weights(labels, 3) == pytest.approx(tuple(expected))


def test_a_class_without_volumes_weighs_nothing():
    assert balanced_weights(np.array([0, 0, 2, 2]), 3) == (1.0, 0.0, 1.0)


def test_settings_make_the_loss():
    classes, labels = ("a", "b"), LABELS.numpy()
    plain = ClassificationTask.for_training(classes, FitSettings(), labels)
    assert float(plain.loss(LOGITS, LABELS)) == float(F.cross_entropy(LOGITS, LABELS))
    settings = FitSettings(label_smoothing=0.1, class_weights="balanced")
    task = ClassificationTask.for_training(classes, settings, labels)
    expected = F.cross_entropy(LOGITS, LABELS, torch.tensor([1.5, 0.75]), label_smoothing=0.1)
    assert float(task.loss(LOGITS, LABELS)) == float(expected)


def test_the_validation_loss_is_neither_smoothed_nor_weighted():
    task = ClassificationTask(("a", "b"), 0.2, (9.0, 1.0))
    probabilities = task.probabilities(LOGITS).numpy()
    expected = float(F.cross_entropy(LOGITS.double(), LABELS))
    assert task.validation_loss(probabilities, LABELS.numpy()) == pytest.approx(expected)


def test_a_hopeless_answer_has_a_large_but_finite_loss():
    assert 30 < log_loss(np.array([[1.0, 0.0]]), np.array([1])) < math.inf


def test_accuracy_ranks_and_auc_breaks_its_ties():
    score = ClassificationTask(("a", "b")).score
    better, worse = {"accuracy": 0.8, "auc": 0.6}, {"accuracy": 0.79, "auc": 0.9}
    assert score(better) > score(worse)
    assert score({"accuracy": 0.8, "auc": 0.7}) > score(better)
    assert score({"accuracy": 0.8, "auc": math.nan}) == 0.8
    assert math.isnan(score({"accuracy": math.nan, "auc": math.nan}))


@pytest.mark.parametrize("rank_by", ["accuracy", "balanced_accuracy", "auc"])
def test_the_chosen_figure_ranks_and_another_breaks_ties(rank_by):
    task = ClassificationTask(("a", "b"), rank_by=rank_by)
    base = {"accuracy": 0.7, "balanced_accuracy": 0.7, "auc": 0.7}
    better = {**dict.fromkeys(base, 0.0), rank_by: 0.72}
    tied = {**base, ("accuracy" if rank_by == "auc" else "auc"): 0.8}
    assert task.score(better) > task.score(tied) > task.score(base)
