from __future__ import annotations

import numpy as np
import pytest

from medpipe_core import train
from medpipe_core.data import LabelledVolumes, SealedTest, TestSetError


@pytest.fixture
def sealed(data):
    class Counting(SealedTest):
        reads = 0

    def read():
        sealed.reads += 1
        return data

    sealed = Counting(read)
    return sealed


@pytest.fixture
def examine(network, task):
    def run(sealed, rule=None, **keywords):
        return train.test_once(
            network,
            sealed,
            task=task,
            train_labels=np.array([0, 0, 1]),
            seed=0,
            after="abc123",
            resamples=50,
            rule=rule or train.DecisionRule(),
            **keywords,
        )

    return run


def test_the_test_set_is_read_once_and_a_second_test_is_refused(examine, sealed):
    examine(sealed)
    with pytest.raises(TestSetError, match="abc123"):
        examine(sealed)
    assert sealed.reads == 1


def test_every_figure_of_the_report_has_an_interval(examine, sealed):
    report = examine(sealed)
    for figures in (report.figures, report.majority):
        assert set(figures) == set(train.figures.FIGURES)
        for figure in figures.values():
            assert set(figure) == {"value", "low", "high"}
            assert figure["low"] <= figure["value"] <= figure["high"]


def test_the_report_agrees_with_its_own_probabilities(examine, sealed, network, task, data):
    report = examine(sealed)
    np.testing.assert_array_equal(report.probabilities, train.predict(network, data, task=task))
    assert {name: f["value"] for name, f in report.figures.items()} == train.metrics(
        report.probabilities, data.labels
    )
    assert sum(map(sum, report.confusion)) == len(data)
    assert report.medmnist["AUC"] == report.figures["auc"]["value"]
    assert report.majority["accuracy"]["value"] == 0.5


def test_intervals_are_over_patients_where_the_data_know_them(examine, data):
    """With one patient every resample is the test set itself, so nothing varies."""
    patient = LabelledVolumes(data.volumes, data.labels, np.zeros(len(data), np.int64))
    figure = examine(SealedTest(lambda: patient)).figures["accuracy"]
    assert figure["low"] == figure["value"] == figure["high"]


def test_answers_at_the_threshold_have_figures_of_their_own(examine, sealed, data):
    report = examine(sealed, rule=train.DecisionRule(threshold=0.0))
    always = (data.labels == 1).mean()
    assert report.decided["accuracy"]["value"] == always
    assert report.decided["sensitivity"]["value"] == 1.0
    assert report.decided["auc"] == report.figures["auc"]


def test_without_a_threshold_both_answers_are_the_same(examine, sealed):
    report = examine(sealed)
    assert report.decided == report.figures
