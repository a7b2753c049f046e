"""What every searcher is: it decides, it observes, it names the best it knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import MedpipeError
from medpipe_core.seeding import child_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import Decision

GATE_GRADIENTS = "gate_gradients"
VALIDATION_LOSS = "validation_loss"
CLEAN_VALIDATION = "clean_validation"
AGREEMENT = "agreement"
LOOK_AHEAD = "look_ahead"
NEEDS = frozenset({GATE_GRADIENTS, VALIDATION_LOSS, CLEAN_VALIDATION, AGREEMENT, LOOK_AHEAD})
_MOST_TRIES = 2000


class BudgetError(MedpipeError):
    """A budget that (almost) no genotype keeps."""


@dataclass(frozen=True)
class Outcome:
    """What came of a decision, or of scoring a genotype.

    Attributes:
        genotype: What was run or scored.
        step: The step of the search, from 0.
        train_loss: Loss of the training batch.
        validation_loss: Loss of the validation batch, if the searcher needs it.
        gate_gradients: Choice path → derivative of the validation loss with respect to the
            choice's gate, if the searcher needs them.
        validated: The choices that the validation loss depends on directly: those of the network
            and, unless validation is clean, those of the augmentations.
        agreement: Cosine between the gradient of the training loss, on augmented volumes, and that
            of the validation loss, on clean ones, with respect to the path's weights, both before
            the step; in [−1, 1]; if the searcher needs it.
        improvement: By how much the step on the weights lowered the loss of the clean validation
            batch, if the searcher needs it.
        score: Figure of merit of the genotype as exported, larger is better; only at the end of
            an epoch, for what `propose` named.
    """

    genotype: Genotype
    step: int
    train_loss: float | None = None
    validation_loss: float | None = None
    gate_gradients: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    validated: frozenset[str] = frozenset()
    agreement: float | None = None
    improvement: float | None = None


class Searcher(ABC):
    """Searches one space, whatever the space describes.

    The loop calls, in this order: `decide` at the start of every step; `observe` after it, unless
    the step failed; at the end of every epoch `propose`, and `observe` with the score of each
    proposed genotype that could be scored, then `best`. `state_dict` is called between steps,
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
    """What `observe` wants to be told of each step, of `NEEDS`.

    `"gate_gradients"` and `"validation_loss"` are of a validation batch after the step on the
    weights, augmented as the training batch was. With `"clean_validation"` it is not augmented.
    `"agreement"` and `"look_ahead"` are of a clean batch before the step, the latter also after it.
    """

    answer: Genotype | None = None
    """Its answer, if known from the start; then nothing is searched and nothing compared."""

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

    @abstractmethod
    def observe(self, outcome: Outcome) -> None:
        """Learn from a step (no score) or from a scored genotype (with one)."""

    def propose(self, count: int) -> list[Genotype]:
        """Name up to `count` distinct genotypes worth scoring now; by default the best one."""
        return [self.best()]

    @abstractmethod
    def best(self) -> Genotype:
        """Name the best genotype known; asking changes nothing of what comes after.

        Raises:
            MedpipeError: None is known yet; the search goes on.
        """

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
