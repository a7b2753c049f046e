"""Ageing evolution over shared weights (Real et al. 2019, algorithm 1)."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.search.score_searcher import ScoreSearcher
from medpipe_core.space import Genotype
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.search.outcome import Outcome

_TRIES = 50


class EvolutionSearcher(ScoreSearcher):
    """Keeps the genotypes scored last, and proposes mutations of the best of a few of them.

    Until `population` genotypes have a score, proposals are drawn uniformly. Then each proposal is
    the child of a tournament's winner, and with each score the oldest member dies, however good
    it is: a score that was luck, or that came of worse shared weights, does not stay for ever.
    Candidates without a score do not enter. Where 50 children for each one that is wanted are above
    the budget or were proposed before, proposals are drawn uniformly again.

    Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019,
    algorithm 1, with the numbers of `population` and `sample` for searches that score tens of
    candidates and not thousands; crossover is not theirs.

    Args:
        space: The space to search.
        population: Members alive, at least 2.
        sample: Members drawn for a tournament, with replacement; in [1, population].
        mutations: Choices that a child changes, at least 1; fewer where it has fewer.
        crossover: Probability that a child takes its choices from two winners before it mutates.
        paths: Where the steps that train the shared weights take their paths from. `"uniform"`:
            all of the space. `"population"`: its members, once there are `population` of them.
        prior_active: As for `ScoreSearcher`.
        known: As for `ScoreSearcher`.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.
    """

    def __init__(
        self,
        space: Any,
        *,
        population: int = 10,
        sample: int = 5,
        mutations: int = 1,
        crossover: float = 0.0,
        paths: Literal["uniform", "population"] = "uniform",
        prior_active: float = 0.0,
        known: Literal["space"] | Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(space, prior_active=prior_active, known=known, **kwargs)
        self._size = population
        self._sample = sample
        self._mutations = mutations
        self._crossover = crossover
        self._paths = paths
        self._alive: deque[tuple[int, float, Genotype]] = deque(maxlen=population)

    def decide(self, step: int) -> Decision:
        """Draw a path for this step, from where `paths` says."""
        if self._paths == "population" and self._full:
            return Decision(self._random.choice(self._alive)[2])
        return super().decide(step)

    def observe(self, outcome: Outcome) -> None:
        """Let a scored genotype enter the population, and the oldest die; keep the best."""
        super().observe(outcome)
        if outcome.score is not None:
            self._alive.append((outcome.rung, outcome.score, outcome.genotype))

    def propose(self, count: int) -> list[Genotype]:
        """Return children, or drawn genotypes; none was proposed before.

        They are fewer than `count` where the space is used up.
        """
        breeds = self._full and not self._used_up
        born = list(itertools.islice(self._children(count * _TRIES), count)) if breeds else []
        return born + self.unseen(count - len(born))

    def insight(self) -> dict[str, Any]:
        """Return how many are alive and, if any is, the mean of their scores."""
        scores = [score for _, score, _ in self._alive]
        mean = {"mean_score": sum(scores) / len(scores)} if scores else {}
        return {"population": len(scores), **mean}

    def state_dict(self) -> dict[str, Any]:
        """Return what every score searcher has, and the population, the oldest first."""
        alive = [[rung, score, genotype.to_dict()] for rung, score, genotype in self._alive]
        return {**super().state_dict(), "population": alive}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        self._alive.clear()
        self._alive.extend(
            (rung, score, Genotype.from_dict(data)) for rung, score, data in state["population"]
        )

    @property
    def _full(self) -> bool:
        return len(self._alive) == self._size

    def _children(self, tries: int) -> Iterator[Genotype]:
        """Pass on the admitted children that were not proposed before."""
        children = (self._child() for _ in range(tries))
        return filter(self.remember, filter(self.admits, children))

    def _child(self) -> Genotype:
        parent = self._winner()
        if self._random.random() < self._crossover:
            parent = self.space.crossover(parent, self._winner(), rng=self._random)
        return self.mutated(parent, self._mutations)

    def _winner(self) -> Genotype:
        """Return the best of a few members, of equal ones the first drawn.

        One that came farther in a race goes before those whose races dropped them earlier.
        """
        drawn = self._random.choices(self._alive, k=self._sample)
        return max(drawn, key=lambda member: member[:2])[2]
