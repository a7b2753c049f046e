"""The figures of a comparison, against answers that are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from medpipe_core.report.comparison.statistics import (
    RESAMPLES,
    Agreement,
    agreement,
    bands,
    bootstrap_spread,
    holm,
    normal_spread,
    paired_test,
    pooled,
)


def test_an_interval_of_figures_is_students_t():
    spread = normal_spread([0.7, 0.8, 0.9])
    assert (spread.mean, spread.least, spread.most) == (pytest.approx(0.8), 0.7, 0.9)
    # t with 2 degrees of freedom is 4.3027 at 97.5 %; the deviation is .1
    assert spread.high - spread.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)
    assert spread.mean - spread.low == pytest.approx(spread.high - spread.mean)


def test_an_interval_is_cut_to_what_a_value_can_be():
    spread = normal_spread([0.1, 0.9], (0, 1))
    assert (spread.low, spread.high) == (0, 1)


def test_one_value_has_no_interval():
    for spread in (normal_spread([0.7]), bootstrap_spread([0.7])):
        assert (spread.mean, spread.low, spread.high, spread.count) == (0.7, None, None, 1)


def test_a_bootstrap_stays_within_the_range_of_the_values():
    spread = bootstrap_spread([0.0, 0.0, 0.0, 1.0])
    assert spread.mean == 0.25
    assert 0 <= spread.low < 0.25 < spread.high <= 1


def test_a_band_draws_a_seed_with_all_its_points():
    low, high = bands(np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 3.0]]))
    assert (low, high) == ([0.0, 0.0, 3.0], [1.0, 1.0, 3.0])


@pytest.mark.parametrize("seeds", [2, 3, 6, 10])
def test_p_of_a_difference_of_one_sign_is_two_of_all_signs(seeds):
    one = [0.8 + 0.01 * number for number in range(seeds)]
    found = paired_test(one, [value - 0.05 - 0.001 * n for n, value in enumerate(one)])
    assert found.p == pytest.approx(2 / 2**seeds)
    assert found.difference > 0
    assert found.exact
    assert found.seeds == seeds


def test_p_is_the_share_of_signs_that_are_as_far_from_nothing():
    differences = [0.3, -0.1, 0.2, 0.4, 0.05]
    seen = sum(differences)
    signs = list(itertools.product([1, -1], repeat=5))
    sums = [sum(s * d for s, d in zip(sign, differences, strict=True)) for sign in signs]
    share = sum(abs(value) >= seen - 1e-9 for value in sums) / len(sums)
    assert paired_test(differences, [0.0] * 5).p == pytest.approx(share)


def test_groups_that_do_not_differ_have_p_of_one():
    assert paired_test([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).p == 1


def test_many_seeds_are_sampled_and_repeat_themselves():
    one = list(np.linspace(0, 1, 20))
    other = list(np.linspace(0, 1, 20)[::-1] + 0.2)
    found = paired_test(one, other)
    assert not found.exact
    assert found == paired_test(one, other)
    assert 0.05 < found.p < 1


def test_one_common_seed_is_no_test():
    assert paired_test([0.5], [0.6]) is None
    assert paired_test([], []) is None


def test_holm_multiplies_by_how_many_are_left_and_never_falls():
    # The first is Holm's own way of counting; 0.03 × 2 lies below 0.04 × 1 only if not carried on.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_tau_is_the_share_of_pairs_in_order_less_the_share_that_is_not():
    found = agreement([1, 2, 3, 4], [1, 3, 2, 4])
    assert found.tau == pytest.approx(4 / 6)
    assert (found.count, found.pairs) == (4, 6)
    assert -1 <= found.low < found.tau < found.high <= 1


def test_resampled_taus_are_scipys():
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=7), rng.integers(3, size=7)
    drawn = np.random.default_rng(0).integers(7, size=(RESAMPLES, 7))
    taus = [stats.kendalltau(one[row], other[row]).statistic for row in drawn]
    found = agreement(one, other)
    assert [found.low, found.high] == pytest.approx(np.nanpercentile(taus, [2.5, 97.5]).tolist())


@pytest.mark.parametrize(("one", "other"), [([1], [1]), ([1, 1, 1], [1, 2, 3]), ([], [])])
def test_there_is_no_tau_of_one_candidate_or_of_equal_scores(one, other):
    assert agreement(one, other) is None


def test_a_pooled_tau_weighs_runs_by_their_pairs():
    found = pooled([Agreement(1.0, None, None, 4, 6), Agreement(0.0, None, None, 2, 1)])
    assert found.tau == pytest.approx(6 / 7)
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.count == 2
    assert pooled([Agreement(0.5, 0.1, 0.9, 4, 6)]).low is None
    assert pooled([]) is None
