from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.metrics import log_loss as sklearn_log_loss

from medpipe_core.train.figures import (
    FIGURES,
    FiguresError,
    auc,
    bootstrap,
    chance_auc,
    confusion,
    log_loss,
    majority_probabilities,
    medmnist_figures,
    metrics,
    per_class,
)


@st.composite
def predictions(draw, classes=None):
    """Probabilities with many ties, and labels in which every class occurs."""
    classes = classes or draw(st.integers(2, 5))
    count = draw(st.integers(classes, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 6))
    weights = rng.integers(1, levels + 1, (count, classes)).astype(float)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    return weights / weights.sum(1, keepdims=True), rng.permutation(labels)


def binary(positive, labels):
    positive = np.asarray(positive, dtype=float)
    return np.stack([1 - positive, positive], axis=1), np.asarray(labels)


def same(ours, theirs):
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


@given(predictions())
def test_figures_agree_with_scikit_learn(case):
    probabilities, labels = case
    ours, answers = metrics(probabilities, labels), probabilities.argmax(1)
    average = "binary" if probabilities.shape[1] == 2 else "macro"
    same(ours["accuracy"], accuracy_score(labels, answers))
    same(ours["balanced_accuracy"], balanced_accuracy_score(labels, answers))
    same(
        ours["precision"],
        precision_score(labels, answers, average=average, zero_division=0),
    )
    same(ours["sensitivity"], recall_score(labels, answers, average=average))
    same(ours["f1_weighted"], f1_score(labels, answers, average="weighted"))
    same(ours["f1_macro"], f1_score(labels, answers, average="macro"))
    assert confusion(probabilities, labels).tolist() == confusion_matrix(labels, answers).tolist()


@given(predictions())
def test_figures_of_each_class_agree_with_scikit_learn(case):
    probabilities, labels = case
    ours, answers = per_class(probabilities, labels), probabilities.argmax(1)
    same(ours["precision"], precision_score(labels, answers, average=None, zero_division=0))
    same(ours["sensitivity"], recall_score(labels, answers, average=None))
    same(ours["f1"], f1_score(labels, answers, average=None))


@given(predictions(classes=2))
def test_the_binary_auc_is_scikit_learns_whatever_the_ties(case):
    probabilities, labels = case
    same(auc(probabilities, labels), roc_auc_score(labels, probabilities[:, 1]))


@given(predictions(classes=4))
def test_the_auc_of_many_classes_is_scikit_learns_one_against_the_rest(case):
    probabilities, labels = case
    theirs = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    same(auc(probabilities, labels), theirs)


@given(predictions())
def test_the_loss_is_scikit_learns(case):
    probabilities, labels = case
    theirs = sklearn_log_loss(labels, probabilities, labels=range(probabilities.shape[1]))
    same(log_loss(probabilities, labels), theirs)


@given(predictions())
def test_medmnist_figures_are_its_evaluators(case):
    """For two classes it reads the last column alone; for more it averages over the columns."""
    probabilities, labels = case
    if probabilities.shape[1] == 2:
        score = probabilities[:, -1]
        expected = {
            "AUC": roc_auc_score(labels, score),
            "ACC": accuracy_score(labels, score > 0.5),
        }
    else:
        areas = [roc_auc_score(labels == k, column) for k, column in enumerate(probabilities.T)]
        expected = {
            "AUC": np.mean(areas),
            "ACC": accuracy_score(labels, probabilities.argmax(1)),
        }
    ours = medmnist_figures(probabilities, labels)
    assert ours == pytest.approx(expected, abs=1e-12)
    same(ours["AUC"], metrics(probabilities, labels)["auc"])
    same(ours["ACC"], metrics(probabilities, labels)["accuracy"])


def test_precision_and_sensitivity_of_two_classes_are_those_of_label_one():
    figures = metrics(*binary([0.9, 0.8, 0.2, 0.1, 0.7], [1, 0, 1, 0, 0]))
    assert figures["precision"] == pytest.approx(1 / 3)
    assert figures["sensitivity"] == pytest.approx(1 / 2)


def test_constant_scores_have_an_auc_of_one_half():
    assert metrics(*binary([0.4] * 5, [0, 1, 0, 1, 1]))["auc"] == 0.5


def test_a_tie_of_two_classes_counts_as_the_first():
    probabilities, labels = binary([0.5, 0.5], [0, 1])
    assert confusion(probabilities, labels).tolist() == [[1, 0], [1, 0]]
    assert medmnist_figures(probabilities, labels)["ACC"] == 0.5


def test_without_a_positive_what_speaks_of_positives_is_not_a_number():
    figures = metrics(*binary([0.2, 0.8], [0, 0]))
    assert math.isnan(figures["auc"])
    assert math.isnan(figures["sensitivity"])
    assert figures["precision"] == 0
    assert figures["accuracy"] == figures["balanced_accuracy"] == 0.5
    assert figures["f1_weighted"] == pytest.approx(2 / 3)


def test_a_class_that_is_never_answered_lowers_the_mean_precision():
    probabilities = np.eye(3)[[0, 1, 1]]
    assert metrics(probabilities, np.array([0, 1, 2]))["precision"] == pytest.approx(0.5)


def test_a_class_in_neither_labels_nor_answers_is_left_out_of_the_means():
    probabilities, labels = np.eye(3)[[0, 1, 1]], np.array([0, 1, 0])
    with_it, without = metrics(probabilities, labels), metrics(probabilities[:, :2], labels)
    assert with_it["f1_macro"] == pytest.approx(without["f1_macro"])
    assert with_it["balanced_accuracy"] == pytest.approx(without["balanced_accuracy"])
    assert math.isnan(with_it["auc"])
    assert math.isnan(per_class(probabilities, labels)["f1"][2])


def test_one_probability_that_is_not_finite_spoils_all_figures():
    probabilities, labels = binary([0.9, 0.1, 0.3], [1, 0, 0])
    probabilities[2] = np.nan
    figures = metrics(probabilities, labels)
    assert tuple(figures) == FIGURES
    assert all(map(math.isnan, figures.values()))


def test_no_volumes_have_no_figures():
    figures = metrics(np.empty((0, 2)), np.empty(0, np.int64))
    assert all(map(math.isnan, figures.values()))
    assert math.isnan(log_loss(np.empty((0, 2)), np.empty(0, np.int64)))


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(FiguresError, match=r"labels must be in 0 … 1, but are in 0 … 2"):
        metrics(np.full((3, 2), 0.5), np.array([0, 1, 2]))


def test_labels_of_another_length_are_refused():
    with pytest.raises(FiguresError, match=r"\(3, 2\) and \(2,\)"):
        metrics(np.full((3, 2), 0.5), np.array([0, 1]))


def test_the_majority_row_answers_the_training_sets_commonest_class():
    train, test = np.array([1, 1, 0]), np.array([0, 0, 0, 1])
    figures = metrics(majority_probabilities(train, len(test), 2), test)
    assert figures["accuracy"] == 0.25
    assert figures["sensitivity"] == 1
    assert figures["auc"] == figures["balanced_accuracy"] == 0.5


def test_an_interval_holds_its_figure_and_a_seed_gives_it_again():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    case = binary(np.clip(labels * 0.3 + rng.random(80) * 0.7, 0, 1), labels)
    one, again = bootstrap(*case, seed=1), bootstrap(*case, seed=1)
    assert one == again != bootstrap(*case, seed=2)
    assert set(one) == set(FIGURES)
    for name, value in metrics(*case).items():
        assert one[name]["value"] == value
        assert one[name]["low"] < value < one[name]["high"]


def test_a_thousand_resamples_of_three_hundred_volumes_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    case = rng.dirichlet(np.ones(11), 300), rng.integers(0, 11, 300)
    began = time.process_time()
    bootstrap(*case, seed=0, resamples=1000)
    assert time.process_time() - began < 2


def test_resamples_without_a_positive_do_not_count_in_its_sensitivity():
    probabilities, labels = binary([0.9, 0.1, 0.1, 0.1], [1, 0, 0, 0])
    interval = bootstrap(probabilities, labels, seed=0)["sensitivity"]
    assert interval == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_an_undefined_figure_has_an_undefined_interval():
    interval = bootstrap(*binary([0.9, 0.1], [0, 0]), seed=0)["auc"]
    assert all(map(math.isnan, interval.values()))


def test_volumes_of_one_patient_are_drawn_together():
    """Ten copies of each patient's volume say nothing new, so the interval stays as wide."""
    rng = np.random.default_rng(3)
    probabilities, labels = binary(rng.random(40), rng.integers(0, 2, 40))
    patients = np.array([f"p{number}" for number in range(40)])

    def width(copies, groups):
        interval = bootstrap(
            np.repeat(probabilities, copies, 0), np.repeat(labels, copies), seed=0, groups=groups
        )["accuracy"]
        return interval["high"] - interval["low"]

    alone, together = width(1, None), width(10, np.repeat(patients, 10))
    assert together == pytest.approx(alone, rel=0.1)
    assert width(10, None) < 0.5 * alone


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_every_patient_in_a_volume_of_its_own_is_no_patients_at_all(seed):
    rng = np.random.default_rng(seed)
    case = binary(rng.random(12), rng.integers(0, 2, 12))
    one = bootstrap(*case, seed=0, groups=np.arange(12), resamples=20)
    # As text: where a measure has no value, NaN is not equal to itself.
    assert repr(one) == repr(bootstrap(*case, seed=0, resamples=20))


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(7)
    truth = {"accuracy": 0.8, "sensitivity": 0.8, "auc": 0.8}
    held, trials = dict.fromkeys(truth, 0), 80
    for trial in range(trials):
        labels = (rng.random(150) < 0.4).astype(int)
        right = rng.random(150) < 0.8
        case = binary(np.where(right, labels, 1 - labels), labels)
        intervals = bootstrap(*case, seed=trial, resamples=150)
        for name, value in truth.items():
            held[name] += intervals[name]["low"] <= value <= intervals[name]["high"]
    assert all(0.88 <= count / trials <= 0.99 for count in held.values()), held


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.3, 0.45, 0.25)])
def test_guesses_exceed_what_chance_gives_in_few_cases(shares):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(shares)), [round(200 * share) for share in shares])
    bound = chance_auc(labels, len(shares))
    guesses = [auc(rng.dirichlet(np.ones(len(shares)), 200), labels) for _ in range(400)]
    exceeded = np.mean(np.array(guesses) > bound)
    assert exceeded < 0.05  # 0.025 of two classes, fewer of several
    assert max(guesses) > 0.5 + (bound - 0.5) / 2


def test_without_volumes_of_a_class_nothing_is_known_of_chance():
    assert math.isnan(chance_auc(np.zeros(5, dtype=np.int64), 2))
