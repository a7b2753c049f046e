"""The genotypes that a description stands for: which there are, how many, and in which order."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space import constrained_counting, counting, serialization, sharing
from medpipe_core.space.choices import active_choices, all_choices
from medpipe_core.space.constraint_counter import ConstraintCounter
from medpipe_core.space.description import operations
from medpipe_core.space.distinct_functions import distinct_size
from medpipe_core.space.errors import InvalidGenotypeError, SpaceError
from medpipe_core.space.extent import check_extent
from medpipe_core.space.genotype import Genotype
from medpipe_core.space.genotype_steps import effective_choices, steps
from medpipe_core.space.known import checked_known
from medpipe_core.space.membership_checks import (
    choice_problems,
    need_genotype,
    of_another_space,
    refuse,
)
from medpipe_core.space.values import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from medpipe_core.space.budget import Budget
    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.choices import Choice
    from medpipe_core.space.constraints import Limit
    from medpipe_core.space.dynamic_programming import MemberSums
    from medpipe_core.space.genotype_steps import Step
    from medpipe_core.space.nodes import Mutable
    from medpipe_core.space.values import Value


class GenotypeSet:
    """The members of a description under constraints; what `SearchSpace` is built upon."""

    def __init__(
        self,
        name: str,
        root: Mutable,
        *,
        budget: Budget | None = None,
        constraints: Iterable[Limit] = (),
        catalogue: Catalogue | None = None,
        known: Mapping[str, Mapping[str, Value]] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise SpaceError(f"the name of a space must be a text, but is {name!r}")
        self.name = plain_text(name)
        self.root = root
        self.budget = budget
        self.constraints = tuple(constraints)
        self.catalogue = catalogue
        check_extent(root, name)
        sharing.check(root, name)
        if self.constraints and self.size() == 0:
            raise SpaceError(
                f"space {name!r}: no genotype keeps all constraints "
                f"({'; '.join(map(str, self.constraints))}); drop or loosen one"
            )
        self.known = checked_known(known or {}, self.choices if known else {}, self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self.choices)} choices>"

    def __getstate__(self) -> dict[str, Any]:
        # What is counted hangs on the nodes' identities, and is counted anew where it is needed.
        own = vars(self).items()
        return {
            n: v for n, v in own if not isinstance(getattr(type(self), n, None), cached_property)
        }

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over description, budget and constraints, not the name."""
        return serialization.digest(self.root, self.budget, self.constraints)

    @cached_property
    def choices(self) -> Mapping[str, Choice]:
        """Every choice of the space by path, active or not, in tree order."""
        return FrozenMapping({choice.path: choice for choice in all_choices(self.root)})

    @cached_property
    def constraint_counter(self) -> ConstraintCounter:
        """The constraints, bound to the choices they are about."""
        return ConstraintCounter(self.constraints, self.choices, self.name)

    @cached_property
    def members(self) -> MemberSums[int]:
        """The genotypes that keep the constraints, for counting."""
        return constrained_counting.counted(self.root, self.constraint_counter)

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        """Distribution → version of the plugins whose operations it has; a note, not its digest."""
        if self.catalogue is None:
            return {}
        named = sorted(set(operations(self.root)))
        return dict(self.catalogue.origin(kind, name) for kind, name in named)

    # Counting

    def size(self) -> int:
        """Count the genotypes that keep the constraints, exactly."""
        if self.constraints:
            return self.members.total() or 0
        return counting.size(self.root)

    def distinct_size(self) -> int:
        """Count the distinct functions: genotypes that `canonical` makes one count once."""
        return distinct_size(self.root, self.constraint_counter)

    def rank(self, genotype: Genotype) -> int:
        """Return the genotype's position in [0, size())."""
        self.validate(genotype)
        if self.constraints:
            return constrained_counting.rank(self.members, genotype.choices)
        return counting.rank(self.root, "", genotype.choices)

    def unrank(self, index: int) -> Genotype:
        """Return the genotype at a position.

        Raises:
            IndexError: The position is not in [0, size()).
            SpaceError: It is no integer.
        """
        if not isinstance(index, int):
            raise SpaceError(
                f"space {self.name!r}: a position must be an integer, but is {index!r}"
            )
        if not 0 <= index < self.size():
            raise IndexError(f"space {self.name!r} has {self.size()} genotypes; none is {index}")
        if self.constraints:
            return self.with_choices(constrained_counting.unrank(self.members, index))
        chosen: dict[str, str] = {}
        counting.unrank(self.root, "", index, chosen)
        return self.decide(lambda choice: chosen[choice.path])

    # Making genotypes

    def decide(self, pick: Callable[[Choice], str]) -> Genotype:
        """Build a genotype by asking `pick` for the key of each active choice, in tree order.

        Constraints are not looked at; `admits` says whether it keeps them.
        """
        chosen: dict[str, str] = {}

        def choose(path: str) -> str:
            chosen[path] = pick(self.choices[path])
            return chosen[path]

        for _ in active_choices(self.root, choose):
            pass
        return self.with_choices(chosen)

    def genotype(self, choices: Mapping[str, str]) -> Genotype:
        """Build the genotype with these choices.

        Raises:
            InvalidGenotypeError: They do not fit; the text names every wrong path.
        """
        refuse(self.name, self._problems(choices))
        return self.decide(lambda choice: choices[choice.path])

    def with_choices(self, chosen: Mapping[str, str]) -> Genotype:
        """Return choices that are known to be right as a genotype of this space."""
        return Genotype(
            chosen, space=self.name, space_digest=self.digest, provenance=self.provenance
        )

    # Reading genotypes

    def validate(self, genotype: Genotype) -> None:
        """Check that a genotype is a member.

        Raises:
            InvalidGenotypeError: It is not; the text names every wrong path with what is near.
        """
        need_genotype(self.name, genotype)
        found = self._problems(genotype.choices)
        if genotype.space_digest != self.digest:
            other = of_another_space(genotype, self.digest, self.provenance, fits=not found)
            found.insert(0, other)
        refuse(self.name, found)

    def admits(self, genotype: Genotype) -> bool:
        """Say whether a genotype of this description keeps the constraints."""
        return self.constraint_counter.admits(genotype.choices) if self.constraints else True

    def broken_constraints(self, genotype: Genotype) -> list[str]:
        """Return in words which constraints a genotype of this description breaks."""
        return self.constraint_counter.problems(genotype.choices)

    def value(self, genotype: Genotype, path: str) -> Value:
        """Return the value that a genotype gives to a choice of values or counts.

        Raises:
            InvalidGenotypeError: The choice does not exist, is not active, or has no values.
        """
        choice = self.choices.get(path)
        if choice is None or path not in genotype.choices or choice.values is None:
            why = "is not active in this genotype" if choice else "is no choice of this space"
            why = "is a choice of operations" if choice and choice.values is None else why
            hint = "" if choice else did_you_mean(path, self.choices)
            raise InvalidGenotypeError(f"space {self.name!r}: {path!r} {why}.{hint}")
        return choice.values[choice.keys.index(genotype[path])]

    def resolve(self, genotype: Genotype) -> tuple[Step, ...]:
        """Return the operations that a genotype describes, with their values, in running order.

        Raises:
            InvalidGenotypeError: The genotype is not of this space.
        """
        if getattr(genotype, "space_digest", None) != self.digest:
            self.validate(genotype)
        try:
            return tuple(steps(self.root, genotype.choices))
        except (KeyError, ValueError):
            self.validate(genotype)
            raise

    def effective(self, genotype: Genotype) -> frozenset[str]:
        """Return the paths of the choices that have an effect.

        Raises:
            InvalidGenotypeError: The genotype is not of this space.
        """
        self.resolve(genotype)
        return frozenset(effective_choices(self.root, genotype.choices))

    def _problems(self, choices: Mapping[str, str]) -> list[str]:
        found = choice_problems(self.root, self.choices, choices)
        return found or self.constraint_counter.problems(choices)
