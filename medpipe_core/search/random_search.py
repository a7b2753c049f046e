"""Random search: uniform over the space, without repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.search.score_searcher import ScoreSearcher

if TYPE_CHECKING:
    from medpipe_core.space import Genotype


class RandomSearcher(ScoreSearcher):
    """Decides uniformly over the admitted genotypes; the best is the best that was scored.

    What is proposed for scoring is never proposed twice; genotypes that describe the same function
    count as one. Steps of the weights draw with repeats, so that every path is trained.
    """

    def propose(self, count: int) -> list[Genotype]:
        """Draw genotypes that were not proposed before; fewer where the space is used up."""
        return self.unseen(count)
