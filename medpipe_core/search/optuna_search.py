"""Optuna's samplers as searchers, over any space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.errors import MissingExtraError
from medpipe_core.search.score_searcher import ScoreSearcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.search.optuna_study import SpaceStudy
    from medpipe_core.search.outcome import Outcome
    from medpipe_core.space import Genotype, SearchSpace

_ASKS = 10
_TRIES = 50


class MissingOptunaError(MissingExtraError):
    """Optuna is asked for and not installed."""


class OptunaSearcher(ScoreSearcher):
    """Proposes what a sampler of Optuna suggests.

    The active choices of a genotype are the parameters of a trial, by their paths. A suggestion
    above the budget ends as a pruned trial, which tpe learns to avoid, and one that was proposed
    before as a failed one; then the sampler is asked again. After 10 such answers the proposal is
    a neighbour of the suggestion that was repeated last, or is drawn uniformly, and the sampler is
    told its score too. A candidate without a score ends as a failed trial.

    Steps that train the shared weights take their paths uniformly from the space. With a prior
    towards active, the trials before the sampler learns are drawn with it and told to the sampler.

    Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019;
    define-by-run is its section 2.

    Args:
        space: The space to search.
        sampler: Optuna's sampler. CMA-ES is none of them: it keeps pickled objects in the study.
        startup: Trials before the sampler learns, at least 2: those of tpe and gp that are drawn
            at random, the population of nsgaii; without effect on random and qmc.
        prior_active: As for `ScoreSearcher`.
        known: As for `ScoreSearcher`.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.

    Raises:
        MissingOptunaError: Optuna is not installed.
    """

    def __init__(
        self,
        space: Any,
        *,
        sampler: Literal["tpe", "random", "gp", "nsgaii", "qmc"] = "tpe",
        startup: int = 10,
        prior_active: float = 0.0,
        known: Literal["space"] | Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(space, prior_active=prior_active, known=known, **kwargs)
        self._study = _study(space, sampler=sampler, startup=startup, seed=self.seed)
        self._startup = startup
        self._running: dict[str, int] = {}

    def observe(self, outcome: Outcome) -> None:
        """Tell the sampler the score of what it suggested; keep the best."""
        super().observe(outcome)
        if outcome.score is None or outcome.genotype.digest not in self._running:
            return
        number = self._running.pop(outcome.genotype.digest)
        if outcome.dropped:
            self._study.drop(number, outcome.score, outcome.rung)
        else:
            self._study.tell(number, outcome.score)

    def propose(self, count: int) -> list[Genotype]:
        """Return suggestions, none proposed before; fewer where the space is used up."""
        for number in self._running.values():
            self._study.fail(number)
        self._running.clear()
        found: list[Genotype] = []
        while len(found) < count:
            asked = self._ask()
            if asked is None:
                break
            number, genotype = asked
            self._running[genotype.digest] = number
            found.append(genotype)
        return found

    def insight(self) -> dict[str, Any]:
        """Return how many trials there were, those of refused suggestions among them."""
        return {"trials": len(self._study)}

    def state_dict(self) -> dict[str, Any]:
        """Return what every score searcher has, and the study."""
        study = {"study": self._study.state_dict(), "running": dict(self._running)}
        return {**super().state_dict(), **study}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        self._study.load_state_dict(state["study"])
        self._running = dict(state["running"])

    def _ask(self) -> tuple[int, Genotype] | None:
        """Return a trial's number and its genotype; None where the space is used up."""
        if self._used_up:
            return None
        if self._knows_more or (self._weights and len(self._study) < self._startup):
            drawn = next(iter(self.unseen(1)), None)
            return None if drawn is None else (self._study.add(drawn), drawn)
        repeated = None
        for _ in range(_ASKS):
            number, genotype = self._study.ask()
            if not self.admits(genotype):
                self._study.prune(number)
            elif self.remember(genotype):
                return number, genotype
            else:
                self._study.fail(number)
                repeated = genotype
        instead = self._instead_of(repeated)
        return None if instead is None else (self._study.add(instead), instead)

    def _instead_of(self, repeated: Genotype | None) -> Genotype | None:
        """Return a neighbour of what a sampler insists on, or else what is drawn; None if none."""
        if repeated is not None:
            near = (self.mutated(repeated) for _ in range(_TRIES))
            found = next(filter(self.remember, filter(self.admits, near)), None)
            if found is not None:
                return found
        return next(iter(self.unseen(1)), None)


def _study(space: SearchSpace, **settings: Any) -> SpaceStudy:
    try:
        from medpipe_core.search.optuna_study import SpaceStudy
    except ImportError as error:
        if error.name != "optuna":
            raise
        raise MissingOptunaError(
            "searcher 'optuna' needs the package optuna, which is not installed; install it with: "
            'pip install "medpipe[optuna]"'
        ) from error
    return SpaceStudy(space, **settings)
