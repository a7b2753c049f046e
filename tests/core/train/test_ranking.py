from __future__ import annotations

import numpy as np
import pytest

from medpipe_core.train import (
    ClassificationTask,
    FitSettings,
    FitState,
    RankingError,
    auc,
    check_ranking,
    fit,
    missing_classes,
)

CLASSES = ("liver", "spleen", "lung")


@pytest.mark.parametrize("labels", [[0, 1], [2], [0, 0, 2], []])
def test_an_auc_that_cannot_be_told_is_told_beforehand(labels):
    labels = np.array(labels, np.int64)
    for rank_by in ("accuracy", "balanced_accuracy"):
        check_ranking(rank_by, labels, CLASSES, among="those that rank")
    with pytest.raises(RankingError) as caught:
        check_ranking("auc", labels, CLASSES, among="those that rank")
    for label, name in enumerate(CLASSES):
        assert (repr(name) in str(caught.value)) == (label not in labels)
    assert f"among those that rank ({len(labels)} volume" in str(caught.value)
    assert np.isnan(auc(np.full((len(labels), 3), 1 / 3), labels))


@pytest.mark.parametrize("count", [2, 3])
def test_the_check_agrees_with_the_figure(count):
    rng = np.random.default_rng(0)
    for _ in range(200):
        labels = rng.integers(0, count, rng.integers(1, 6))
        told = np.isfinite(auc(np.full((len(labels), count), 1 / count), labels))
        try:
            check_ranking("auc", labels, CLASSES[:count], among="these")
        except RankingError:
            assert not told
        else:
            assert told


def test_a_class_that_a_part_lacks_is_noted():
    parts = {"one half": np.array([0, 1, 2]), "the other half": np.array([1, 1])}
    assert missing_classes(parts, CLASSES) == ["the other half has no volume of 'liver', 'lung'."]


def test_the_best_epoch_by_a_figure_that_cannot_be_told_is_refused_before_training(
    data, validation, network
):
    settings = FitSettings(epochs=3, batch_size=6, select="best", rank_by="auc")
    state = FitState.start(network, data, settings=settings, seed=0, device="cpu")
    only = validation.take(np.flatnonzero(validation.labels == 0))
    task = ClassificationTask(("without", "with"), rank_by="auc")
    with pytest.raises(RankingError, match="'with' is among the validation volumes, which pick"):
        fit(state, settings=settings, task=task, validation=only)
    assert state.step == 0
