"""Random search: uniform over the space, without repeats."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from medpipe_core.search.protocol import Searcher
from medpipe_core.space import Genotype
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from medpipe_core.search.protocol import Outcome

_TRIES = 50
_ENUMERABLE = 20_000


class RandomSearcher(Searcher):
    """Decides uniformly over the admitted genotypes; the best is the best that was scored.

    What is proposed for scoring is never proposed twice; genotypes that describe the same function
    count as one. Steps of the weights draw with repeats, so that every path is trained.
    """

    def __init__(self, space: Any, **kwargs: Any) -> None:
        super().__init__(space, **kwargs)
        self._random = random.Random(self.seed)  # noqa: S311
        self._proposed: set[str] = set()
        self._best: tuple[float, Genotype] | None = None

    def decide(self, step: int) -> Decision:
        """Draw a path for this step."""
        return Decision(self._draw())

    def observe(self, outcome: Outcome) -> None:
        """Keep the best score; of equal ones the first."""
        if outcome.score is not None and (self._best is None or outcome.score > self._best[0]):
            self._best = (outcome.score, outcome.genotype)

    def propose(self, count: int) -> list[Genotype]:
        """Draw genotypes that were not proposed before; fewer where the space is used up."""
        drawn = (self._draw() for _ in range(count * _TRIES))
        fresh = list(itertools.islice(self._fresh(drawn), count))
        if len(fresh) < count and self.space.size() <= _ENUMERABLE:
            # Nearly used up: luck no longer finds what is left, looking does.
            ranks = self._random.sample(range(self.space.size()), self.space.size())
            rest = filter(self.admits, map(self.space.unrank, ranks))
            fresh += itertools.islice(self._fresh(rest), count - len(fresh))
        return fresh

    def best(self) -> Genotype:
        """Return the best scored genotype; before any score, a drawn one."""
        return self._best[1] if self._best else self._draw()

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state and what was proposed and scored."""
        version, words, gauss = self._random.getstate()
        return {
            "random": [version, list(words), gauss],
            "proposed": sorted(self._proposed),
            "best": None if self._best is None else [self._best[0], self._best[1].to_dict()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        version, words, gauss = state["random"]
        self._random.setstate((version, tuple(words), gauss))
        self._proposed = set(state["proposed"])
        best = state["best"]
        self._best = None if best is None else (best[0], Genotype.from_dict(best[1]))

    def _fresh(self, genotypes: Iterable[Genotype]) -> Iterator[Genotype]:
        """Pass on what does something that was not proposed before, and remember it."""
        for genotype in genotypes:
            digest = self.space.canonical(genotype).digest
            if digest not in self._proposed:
                self._proposed.add(digest)
                yield genotype

    def _draw(self) -> Genotype:
        return self.admitted(lambda: self.space.sample(rng=self._random))
