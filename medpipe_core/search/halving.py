"""Successive halving and Hyperband (Li et al. 2018): the better of many are trained longer."""

from __future__ import annotations

from medpipe_core.search.random_search import RandomSearcher


class HalvingSearcher(RandomSearcher):
    """Proposes at random what is raced: short trainings for all, longer ones for the better.

    The race itself is how candidates are scored, `search.rungs` and `search.brackets`, and any
    searcher's proposals can be scored so; this one brings these keys with it. Without them it is
    `random`. The best is the best score of those that came farthest.

    Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 2018;
    several trials at once go on without waiting where that cannot change who is promoted, which
    ASHA (Li et al., MLSys 2020) gains by promoting early and at times wrongly.
    """
