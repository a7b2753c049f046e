"""ROC and calibration curves, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from medpipe_core.train import auc
from medpipe_core.train.curves import calibration_error, class_curves, reliability, roc_curve
from medpipe_core.train.figures import class_figures, metrics


def area(points):
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([2, 5, 1000]))
def test_the_area_under_the_corners_is_the_auc(seed, count, levels):
    rng = np.random.default_rng(seed)
    positive = np.arange(count) % 2 == 0
    scores = rng.integers(0, levels, count) / levels
    points = roc_curve(scores, positive)
    assert points[0] == [0, 0]
    assert points[-1] == [1, 1]
    both = np.stack((1 - scores, scores), 1)
    assert area(points) == pytest.approx(auc(both, positive.astype(int)), abs=1e-5)


def test_a_long_curve_is_thinned_and_one_class_alone_has_none():
    rng = np.random.default_rng(0)
    positive = rng.random(5000) < 0.5
    points = roc_curve(rng.random(5000), positive)
    assert 100 < len(points) <= 200
    assert roc_curve(np.array([0.1, 0.2]), np.array([True, True])) == []


def test_bins_tell_how_often_what_was_said_is_so():
    rng = np.random.default_rng(1)
    said = rng.random(4000)
    honest, sure = rng.random(4000) < said, rng.random(4000) < 0.5 + 0.2 * (said - 0.5)
    bins = reliability(said, honest)
    assert len(bins) == 10
    assert sum(one["count"] for one in bins) == 4000
    assert sum(one["low"] <= one["probability"] <= one["high"] for one in bins) >= 8
    assert calibration_error(bins) < 0.03 < 0.15 < calibration_error(reliability(said, sure))


def test_equal_probabilities_are_in_one_bin():
    bins = reliability(np.full(30, 0.25), np.arange(30) % 2 == 0)
    assert [(one["count"], one["share"], one["probability"]) for one in bins] == [(30, 0.5, 0.25)]


def test_two_classes_have_the_curves_of_the_second_and_more_of_each():
    rng = np.random.default_rng(2)
    two, three = rng.dirichlet([1, 1], 40), rng.dirichlet([1, 1, 1], 40)
    labels = np.arange(40) % 2
    assert [one["class"] for one in class_curves(two, two, labels, ("a", "b"))] == ["b"]
    assert [one["class"] for one in class_curves(three, three, labels, ("a", "b", "c"))] == [
        "a", "b", "c",
    ]  # fmt: skip
    assert class_curves(three, three, labels, ("a", "b", "c"))[2]["roc"] == []


@pytest.mark.parametrize("classes", [2, 3])
def test_figures_of_a_class_are_those_of_it_against_the_others(classes):
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(classes), 200)
    labels = rng.integers(0, classes, 200)
    found, answers = class_figures(probabilities, labels), probabilities.argmax(1)
    for k in range(classes):
        is_k, called = labels == k, answers == k
        assert found[f"sensitivity/{k}"] == pytest.approx(sk.recall_score(is_k, called))
        assert found[f"specificity/{k}"] == pytest.approx(sk.recall_score(~is_k, ~called))
        assert found[f"precision/{k}"] == pytest.approx(sk.precision_score(is_k, called))
        assert found[f"auc/{k}"] == pytest.approx(sk.roc_auc_score(is_k, probabilities[:, k]))
    whole = metrics(probabilities, labels)
    each = [found[f"specificity/{k}"] for k in range(classes)]
    expected = each[1] if classes == 2 else np.mean(each)
    assert whole["specificity"] == pytest.approx(expected)
