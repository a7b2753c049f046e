"""Temperature and threshold: fitted on held-out volumes, kept as plain data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.train.decision import DecisionRule, _best_cut, fit_rule
from medpipe_core.train.figures import FiguresError, auc, log_loss


def sample(count, *, sharpness=1.0, bias=0.0, prior=0.25, seed=0):
    """Draw labels, and probabilities that are off by a factor and a shift of the logit."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < prior).astype(np.int64)
    true = rng.normal(2.0 * (2 * labels - 1), 2.0) + np.log(prior / (1 - prior))
    logit = sharpness * (true + bias)
    p = 1 / (1 + np.exp(-logit))
    return np.stack([1 - p, p], 1), labels


def accuracy(rule, probabilities, labels):
    return (rule.decide(rule.calibrated(probabilities)) == labels).mean()


def test_an_overconfident_network_is_cooled():
    probabilities, labels = sample(2000, sharpness=3.0)
    rule = fit_rule(probabilities, labels)
    assert 2.3 < rule.temperature < 3.9
    assert log_loss(rule.calibrated(probabilities), labels) < log_loss(probabilities, labels)


def test_a_calibrated_network_is_left_alone():
    rule = fit_rule(*sample(4000))
    assert 0.8 < rule.temperature < 1.25
    assert 0.3 < rule.threshold < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_a_shifted_network_answers_better_on_other_volumes(seed):
    rule = fit_rule(*sample(400, bias=-4.0, seed=seed))
    probabilities, labels = sample(4000, bias=-4.0, seed=100 + seed)
    assert accuracy(rule, probabilities, labels) > accuracy(DecisionRule(), probabilities, labels)


def test_the_order_of_two_classes_is_kept():
    probabilities, labels = sample(300, sharpness=2.5)
    rule = fit_rule(probabilities, labels)
    assert auc(rule.calibrated(probabilities), labels) == pytest.approx(auc(probabilities, labels))


def test_of_three_classes_the_most_probable_stays_the_answer():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    logits = 4 * (np.eye(3)[labels] + rng.normal(0, 1, (200, 3)))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rule = fit_rule(probabilities, labels)
    assert rule.threshold is None
    assert rule.temperature > 1
    decided = rule.decide(rule.calibrated(probabilities))
    assert np.array_equal(decided, probabilities.argmax(1))


def test_where_a_class_is_missing_nothing_is_fitted():
    probabilities, labels = sample(50)
    assert fit_rule(probabilities, np.zeros_like(labels)) == DecisionRule()


def test_what_is_not_finite_is_refused():
    probabilities, labels = sample(50)
    probabilities[3] = np.nan
    with pytest.raises(FiguresError, match="not a finite number"):
        fit_rule(probabilities, labels)


def test_certain_answers_do_not_break_it():
    labels = np.array([0, 1] * 20)
    probabilities = np.eye(2)[labels]
    probabilities[0] = [0.0, 1.0]
    rule = fit_rule(probabilities, labels)
    assert np.isfinite(rule.calibrated(probabilities)).all()
    assert accuracy(rule, probabilities, labels) == 39 / 40


@given(st.integers(0, 10_000))
def test_a_rule_survives_plain_data(seed):
    rule = fit_rule(*sample(40, seed=seed))
    assert DecisionRule.from_dict(rule.to_dict()) == rule


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12),
)
def test_the_best_cut_is_the_best_there_is(rows):
    logits = np.array([float(x) for x, _ in rows])
    labels = np.array([int(y) for _, y in rows])

    def right(cut):
        return ((logits >= cut) == (labels == 1)).sum()

    cut = _best_cut(logits, labels)
    assert right(cut) == max(right(c) for c in np.arange(-4, 5) - 0.5)
