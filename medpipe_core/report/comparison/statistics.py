"""The figures of a comparison: intervals over seeds, paired tests, agreement of rankings.

Whatever is drawn comes from a generator of fixed seed, so that a comparison repeats itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
PERMUTATIONS = 9999
_ANY = (-np.inf, np.inf)
_TAILS = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]


@dataclass(frozen=True)
class Spread:
    """Values over seeds.

    Attributes:
        mean: Their mean.
        low: Lower end of the mean's 95 % interval; None for one value.
        high: Its upper end.
        least: The smallest value.
        most: The largest.
        count: How many.
    """

    mean: float
    low: float | None
    high: float | None
    least: float
    most: float
    count: int


def normal_spread(values: Sequence[float], limits: tuple[float, float] = _ANY) -> Spread:
    """Describe values; the interval of the mean is Student's t.

    Args:
        values: A value for each seed.
        limits: Range that such a value can have; the interval is cut to it.
    """
    held = np.asarray(values, dtype=float)
    low = high = None
    if len(held) > 1:
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(held) - 1)
        half = float(quantile * held.std(ddof=1) / np.sqrt(len(held)))
        low, high = np.clip([held.mean() - half, held.mean() + half], *limits).tolist()
    return _spread(held, low, high)


def bootstrap_spread(values: Sequence[float]) -> Spread:
    """Describe values; the interval of the mean is a percentile bootstrap over them.

    It stays within the range of the values, which suits regret: that has no value below 0.
    """
    held = np.asarray(values, dtype=float)
    low, high = bands(held[:, None])
    return _spread(held, low[0], high[0])


def bands(values: Array) -> tuple[list[float | None], list[float | None]]:
    """Return the 95 % intervals of means over seeds, by a percentile bootstrap over the seeds.

    Args:
        values: `(seed, point)`; a seed is drawn with all its points.

    Returns:
        The lower and the upper end at each point; None throughout for one seed.
    """
    seeds, points = values.shape
    if seeds < 2:
        return [None] * points, [None] * points
    drawn = np.random.default_rng(0).multinomial(seeds, [1 / seeds] * seeds, size=RESAMPLES)
    low, high = np.percentile(drawn @ values / seeds, _TAILS, axis=0)
    return low.tolist(), high.tolist()


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of whether two groups differ.

    Attributes:
        difference: Mean of the first one's values less the other's.
        p: Probability of a mean at least as far from 0 if the groups did not differ.
        exact: Whether all signs were tried, and not a sample.
        seeds: Common seeds.
    """

    difference: float
    p: float
    exact: bool
    seeds: int


def paired_test(one: Sequence[float], other: Sequence[float]) -> PairedTest | None:
    """Test whether two groups differ on the seeds they share, by a paired permutation test.

    If they do not differ, each seed's difference might as well have the other sign. All signs are
    tried where they are at most 9999, otherwise so many at random. With n seeds no p is below
    2 / 2ⁿ.

    Args:
        one: The first group's values, a value for each seed.
        other: The other's, in the same order of seeds.

    Returns:
        None for fewer than two seeds.
    """
    if len(one) < 2:
        return None
    found = stats.permutation_test(
        (np.asarray(one, dtype=float), np.asarray(other, dtype=float)),
        _mean_difference,
        permutation_type="samples",
        alternative="two-sided",
        n_resamples=PERMUTATIONS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    exact = 2 ** len(one) <= PERMUTATIONS
    return PairedTest(float(found.statistic), float(found.pvalue), exact, len(one))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min((len(p_values) - rank) * p_values[index], 1.0))
        corrected[index] = least
    return corrected


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b between two rankings, in [−1, 1].

    Attributes:
        tau: It.
        low: Lower end of its 95 % interval, if one could be estimated.
        high: Its upper end.
        count: How many were ranked; of a pooled τ, how many runs were pooled.
        pairs: Pairs that were compared.
    """

    tau: float
    low: float | None
    high: float | None
    count: int
    pairs: int


def agreement(one: Sequence[float], other: Sequence[float]) -> Agreement | None:
    """Return how two scores of the same candidates agree about their order.

    The interval is a percentile bootstrap over the candidates.

    Returns:
        None where there are fewer than two, or where one of the scores is the same for all.
    """
    if len(one) < 2:
        return None
    tau = float(stats.kendalltau(one, other).statistic)
    if not np.isfinite(tau):
        return None
    low, high = _percentiles(_resampled_taus(np.asarray(one), np.asarray(other)))
    return Agreement(tau, low, high, len(one), len(one) * (len(one) - 1) // 2)


def pooled(found: Sequence[Agreement]) -> Agreement | None:
    """Return the agreement within several runs: their τ, weighted by the pairs of each.

    Candidates of different runs are not compared: their scores come from different weights. The
    interval is a percentile bootstrap over the runs.
    """
    if not found:
        return None
    taus = np.array([one.tau for one in found])
    pairs = np.array([one.pairs for one in found], dtype=float)
    tau = float(taus @ pairs / pairs.sum())
    low = high = None
    if len(found) > 1:
        share = [1 / len(found)] * len(found)
        drawn = np.random.default_rng(0).multinomial(len(found), share, size=RESAMPLES)
        low, high = _percentiles(drawn @ (taus * pairs) / (drawn @ pairs))
    return Agreement(tau, low, high, len(found), int(pairs.sum()))


def _spread(values: Array, low: float | None, high: float | None) -> Spread:
    return Spread(
        float(values.mean()), low, high, float(values.min()), float(values.max()), len(values)
    )


def _mean_difference(one: Any, other: Any, axis: int = -1) -> Any:
    return np.mean(one - other, axis=axis)


def _resampled_taus(one: Array, other: Array) -> Array:
    """Return τ-b of resamples of the candidates; those with one value only have none."""
    count = len(one)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    left, right = (
        np.sign(x[drawn][:, :, None] - x[drawn][:, None, :]).reshape(RESAMPLES, -1)
        for x in (one, other)
    )
    sizes = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    usable = sizes > 0
    taus: Array = (left * right).sum(axis=1)[usable] / sizes[usable]
    return taus


def _percentiles(values: Array) -> tuple[float | None, float | None]:
    if not len(values):
        return None, None
    low, high = np.percentile(values, _TAILS).tolist()
    return low, high
