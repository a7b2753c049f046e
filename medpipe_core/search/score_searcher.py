"""What searchers that learn from scores have in common: no repeats, and the best so far."""

from __future__ import annotations

import copy
import functools
import itertools
import random
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.search.given import decided, read_known
from medpipe_core.search.searcher import Searcher
from medpipe_core.space import Genotype, SpaceError, active_weights
from medpipe_core.supernet import Decision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.search.outcome import Outcome

_TRIES = 50
_ENUMERABLE = 20_000


class ScoreSearcher(Searcher):
    """Base of searchers that look at scores only; a subclass says what to propose.

    Steps of the weights draw uniformly and with repeats, so that every path is trained. The best
    is the best that was scored. A subclass proposes what `remember` or `unseen` let through, so
    that nothing is proposed twice; genotypes that describe the same function count as one.

    Args:
        space: The space to search.
        prior_active: Size of a prior towards policies whose augmentations act, as `active_weights`
            has it, for what `unseen` draws; at 0 it draws uniformly.
        known: What `unseen` gives first, in this order: names of what the space knows, paths as
            `FixedSearcher` takes them, or choices by path or pattern, such as a policy that is
            known to be good. What these leave open is drawn. `"space"` is all that the space
            knows, each twice.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.

    Raises:
        FixedGenotypeError: What is known cannot be read, or names what the space has not.
    """

    def __init__(
        self,
        space: Any,
        *,
        prior_active: float = 0.0,
        known: Literal["space"] | Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self._known = read_known(space, known, kwargs["seed"])
        self._entered = 0
        self._weights = active_weights(space, prior_active)
        self._random = random.Random(self.seed)  # noqa: S311
        self._proposed: set[str] = set()
        self._best: tuple[int, float, Genotype] | None = None

    def decide(self, step: int) -> Decision:
        """Draw a path for this step."""
        return Decision(self.draw())

    def observe(self, outcome: Outcome) -> None:
        """Keep the best score, those of a higher rung of a race first; of equal ones the first."""
        if outcome.score is None:
            return
        if self._best is None or (outcome.rung, outcome.score) > self._best[:2]:
            self._best = (outcome.rung, outcome.score, outcome.genotype)

    def best(self) -> Genotype:
        """Return the best scored genotype; before any score, the one that would be drawn next."""
        if self._best:
            return self._best[2]
        rng = copy.copy(self._random)
        return self.admitted(lambda: self.space.sample(rng=rng, weights=self._weights))

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state and what was proposed and scored."""
        version, words, gauss = self._random.getstate()
        best = self._best
        return {
            "random": [version, list(words), gauss],
            "proposed": sorted(self._proposed),
            "entered": self._entered,
            "best": None if best is None else [best[0], best[1], best[2].to_dict()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        version, words, gauss = state["random"]
        self._random.setstate((version, tuple(words), gauss))
        self._proposed = set(state["proposed"])
        self._entered = state["entered"]
        best = state["best"]
        self._best = None if best is None else (best[0], best[1], Genotype.from_dict(best[2]))

    def draw(self) -> Genotype:
        """Draw uniformly from the admitted genotypes.

        Raises:
            BudgetError: As `admitted`.
        """
        return self.admitted(lambda: self.space.sample(rng=self._random))

    def mutated(self, genotype: Genotype, count: int = 1) -> Genotype:
        """Return a genotype with `count` choices changed, or as many as it has that can change."""
        for able in range(min(count, len(genotype)), 0, -1):
            try:
                return self.space.mutate(genotype, rng=self._random, count=able)
            except SpaceError:
                continue
        return genotype

    def remember(self, genotype: Genotype) -> bool:
        """Say whether a genotype does what was not proposed before, and count it as proposed."""
        digest = self.space.canonical(genotype).digest
        if digest in self._proposed:
            return False
        self._proposed.add(digest)
        return True

    def unseen(self, count: int) -> list[Genotype]:
        """Return what is known, then draw, what was not proposed before; fewer if all was.

        They are drawn with the prior towards active, if there is one.

        Raises:
            BudgetError: As `admitted`.
        """
        if self._used_up:
            return []
        fresh = list(itertools.islice(filter(self.remember, self._entrants()), count))
        drawn = (self._candidate() for _ in range((count - len(fresh)) * _TRIES))
        fresh += itertools.islice(filter(self.remember, drawn), count - len(fresh))
        if len(fresh) < count and self._size_of_space <= _ENUMERABLE:
            # Nearly used up: luck no longer finds what is left, looking does.
            ranks = self._random.sample(range(self._size_of_space), self._size_of_space)
            rest = filter(self.admits, map(self.space.unrank, ranks))
            fresh += itertools.islice(filter(self.remember, rest), count - len(fresh))
        return fresh

    @property
    def _knows_more(self) -> bool:
        """Whether something known was not given out yet."""
        return self._entered < len(self._known)

    def _entrants(self) -> Iterator[Genotype]:
        """Complete what is known, one after another, each once."""
        while self._knows_more:
            base, choices = self._known[self._entered]
            self._entered += 1
            yield self.admitted(functools.partial(self._completed, base, choices))

    def _completed(self, base: Mapping[str, str], choices: Mapping[str, Any]) -> Genotype:
        drawn = self.space.sample(rng=self._random, weights=self._weights).choices
        return decided(
            self.space, {**drawn, **base}, choices, lambda choice: self._random.choice(choice.keys)
        )

    @property
    def _used_up(self) -> bool:
        """Whether the whole space was proposed, so that nobody need look for more."""
        return len(self._proposed) >= self._size_of_space

    @functools.cached_property
    def _size_of_space(self) -> int:
        return self.space.size()

    def _candidate(self) -> Genotype:
        return self.admitted(lambda: self.space.sample(rng=self._random, weights=self._weights))
