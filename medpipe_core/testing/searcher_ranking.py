"""What every searcher promises of its answer: it is not what it was told to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.search import Outcome
from medpipe_core.seeding import child_seed
from medpipe_core.testing.checking import require
from medpipe_core.testing.searcher_restoring import RestoringContract
from medpipe_core.testing.searcher_runs import EPOCH, PROPOSED

if TYPE_CHECKING:
    from medpipe_core.search import Searcher
    from medpipe_core.space import Genotype
    from medpipe_core.testing.toys import ToySpace

_SEEDS = 2
_WORSE = -0.02  # an answer that follows no outcome gains 0


class RankingContract(RestoringContract):
    """The part of `SearcherContract` that is about what comes out of a search."""

    def test_the_best_is_not_the_worst(self) -> None:
        """Where good and bad change places, its answer does not get better for having them so."""
        free = [toy for toy in self.spaces if toy.admit is None]
        gains = [
            self._best_merit(toy, seed, good=True) - self._best_merit(toy, seed, good=False)
            for toy in free or self.spaces
            for seed in range(_SEEDS)
        ]
        gain = sum(gains) / len(gains)
        require(
            gain >= _WORSE,
            f"{self.name} answers what it was told to be bad: where scores say how good a "
            f"genotype is, its best is worse by {-gain:.2f} (of 1) than where they say the "
            "opposite. Larger scores, agreement and improvement are better, smaller losses are, "
            "and a gate's gradient is that of the loss: look for a comparison or sign that is "
            "turned round",
        )

    def _best_merit(self, toy: ToySpace, seed: int, *, good: bool) -> float:
        """Search and return the merit of the answer.

        Args:
            toy: The space.
            seed: Seed of the searcher.
            good: Whether it is told of the merit, or of its opposite.
        """
        searcher = self.make(toy, seed=seed)
        for step in range(self.steps):
            self._told(searcher, step, good=good)
            if (step + 1) % EPOCH == 0:
                for genotype in searcher.propose(PROPOSED):
                    merit = _merit(genotype) if good else 1 - _merit(genotype)
                    searcher.observe(Outcome(genotype, step, score=merit))
        return _merit(self.best(searcher))

    def _told(self, searcher: Searcher, step: int, *, good: bool) -> None:
        """Decide, and observe what a step finds in which the merit is all that counts."""
        decision, sign = self.decide(searcher, step), 1 if good else -1
        genotype, needs = decision.genotype, searcher.needs
        better = sign * (_merit(genotype) - 0.5)
        gradients = {path: -sign * _worth(path, genotype[path]) for path in decision.gates}
        searcher.observe(
            Outcome(
                genotype,
                step,
                train_loss=1 - better,
                validation_loss=1 - better if needs else None,
                gate_gradients=gradients if "gate_gradients" in needs else {},
                validated=frozenset(genotype.choices),
                agreement=better if "agreement" in needs else None,
                improvement=better if "look_ahead" in needs else None,
            )
        )


def _merit(genotype: Genotype) -> float:
    """Return how good a genotype is, in [0, 1]: the mean worth of its keys."""
    worths = [_worth(path, genotype[path]) for path in genotype]
    return 0.5 + 0.5 * sum(worths) / max(len(worths), 1)


def _worth(path: str, key: str) -> float:
    return child_seed(0, "merit", path, key) / 2**62 - 1
