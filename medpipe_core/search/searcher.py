"""What every searcher is: it decides, it observes, it names the best it knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.search.needs import asking_for
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.search.probe import Probe
    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import Decision

_MOST_TRIES = 2000


class BudgetError(MedpipeError):
    """A budget that (almost) no genotype keeps."""


class Searcher(ABC):
    """Searches one space, whatever the space describes.

    The loop calls, in this order: `decide` at the start of every step; `ask` once the gradient of
    the training batch is known, unless the step only warms the weights up; `observe` after it,
    unless the step failed; at the end of every epoch `propose`, and `observe` with the score of
    each proposed genotype that could be scored, then `best`. `state_dict` is called between steps,
    never between a `decide` and its `observe`. A searcher that needs nothing of a step may get
    none: then `steps` is 0, and epochs only score what it proposes.

    Args:
        space: The space to search.
        seed: Seed of everything the searcher draws.
        steps: Number of steps the search will have, for schedules.
        admit: Says whether a genotype keeps the space's budget; by default every one does. The
            space's constraints are kept in any case.
    """

    needs: frozenset[str] = frozenset()
    """What `observe` wants to be told of each step, of `NEEDS`; none, if it learns from no step.

    `"gate_gradients"` and `"validation_loss"` are of a validation batch after the step on the
    weights, augmented as the training batch was. With `"clean_validation"` it is not augmented.
    `"agreement"` and `"look_ahead"` are of a clean batch before the step, the latter also after it.
    `"probe"` says that the searcher has an `ask` of its own, which finds out what it needs.
    """

    answer: Genotype | None = None
    """Its answer, if known from the start; then nothing is searched and nothing compared."""

    carries: bool = False
    """Whether the trainings of its proposals go on from earlier ones, as `parent` says."""

    networks: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """Fixed networks that its decisions may name: name of a registered model → its parameters."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        steps: int,
        admit: Callable[[Genotype], bool] | None = None,
    ) -> None:
        self.space = space
        self.steps = steps
        self._admit = admit
        self.seed = child_seed(seed, "searcher")

    @abstractmethod
    def decide(self, step: int) -> Decision:
        """Decide what this step runs."""

    def ask(self, probe: Probe) -> Outcome:
        """Ask about a step before it is over; by default what is in `needs`.

        Returns:
            `probe.outcome` with what was found; `observe` is told it, unless the step failed.
        """
        return asking_for(self.needs)(probe)

    @abstractmethod
    def observe(self, outcome: Outcome) -> None:
        """Learn from a step (no score) or from a scored genotype (with one)."""

    def propose(self, count: int) -> list[Genotype]:
        """Name up to `count` distinct genotypes worth scoring now; by default the best one."""
        return [self.best()]

    def parent(self, genotype: Genotype) -> str | None:
        """Return the digest of the genotype whose weights a proposal's training goes on from.

        It is one of the epoch before, whose network has the same shapes; None begins anew. Asked
        where the searcher `carries`.
        """
        return None

    @abstractmethod
    def best(self) -> Genotype:
        """Name the best genotype known; asking changes nothing of what comes after.

        Raises:
            MedpipeError: None is known yet; the search goes on.
        """

    def schedule(self) -> tuple[Genotype, ...]:
        """Name what the training of `best` goes through in equal stretches; by default nothing.

        The last is `best` itself, and the others differ from it in augmentations alone. Where it
        names nothing, the policy of `best` holds throughout.
        """
        return ()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that a search needs to go on, as plain values and tensors."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""

    def insight(self) -> dict[str, Any]:
        """Return what is worth a line in the journal at the end of an epoch, as plain values."""
        return {}

    def admitted(self, draw: Callable[[], Genotype]) -> Genotype:
        """Draw until a genotype is admitted: the one place where limits are honoured.

        Raises:
            BudgetError: None of 2000 draws kept the budget and the constraints.
        """
        genotype = self.admitted_within(_MOST_TRIES, draw)
        if genotype is None:
            also = " and constraints" if self.space.constraints else ""
            raise BudgetError(
                f"none of {_MOST_TRIES} genotypes drawn from space {self.space.name!r} keeps its "
                f"budget ({self.space.budget}){also}; raise the budget, or narrow the channels or "
                "the resolution of the volumes"
            )
        return genotype

    def admitted_within(self, tries: int, draw: Callable[[], Genotype]) -> Genotype | None:
        """Draw until a genotype is admitted, at most so many times; None if none was."""
        return next(filter(self.admits, (draw() for _ in range(tries))), None)

    def admits(self, genotype: Genotype) -> bool:
        """Say whether a genotype keeps the space's constraints and its budget."""
        return self.space.admits(genotype) and (self._admit is None or self._admit(genotype))
