"""The search space: a description with a name, and what can be asked of it."""

from __future__ import annotations

import json
import random
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from medpipe_core.errors import did_you_mean
from medpipe_core.space import counting, description, feasible, sharing, variation, walk
from medpipe_core.space.checking import another_space, need_genotype, problems, refuse
from medpipe_core.space.distinct import distinct_size
from medpipe_core.space.errors import InvalidGenotypeError, SpaceError
from medpipe_core.space.genotype import Genotype, parse_json
from medpipe_core.space.nodes import Group, Mutable, Shared
from medpipe_core.space.steps import effective_choices, steps
from medpipe_core.space.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.constraints import Limit
    from medpipe_core.space.description import Budget
    from medpipe_core.space.members import Members
    from medpipe_core.space.steps import Step
    from medpipe_core.space.values import Value
    from medpipe_core.space.walk import Choice

T = TypeVar("T")


class SearchSpace:
    """A set of genotypes, described by a tree of nodes.

    Args:
        name: How people call it.
        root: Its description.
        budget: Upper limits that every searcher keeps; None for none.
        constraints: What its genotypes must keep; what breaks one is no member.
        catalogue: Who makes its operations; needed to bind modules, not to describe or sample.

    Raises:
        SpaceError: A reference leads nowhere, a constraint is about a path or key that is not
            there, or nothing keeps all constraints.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice
        >>> root = Group({"depth": ValueChoice(1, 2), "width": ValueChoice(8, 16)})
        >>> space = SearchSpace("toy", root)
        >>> space.size()
        4
        >>> dict(space.unrank(2).choices)
        {'depth': '2', 'width': '8'}
    """

    def __init__(
        self,
        name: str,
        root: Mutable,
        *,
        budget: Budget | None = None,
        constraints: Iterable[Limit] = (),
        catalogue: Catalogue | None = None,
    ) -> None:
        self.name = name
        self.root = root
        self.budget = budget
        self.constraints = tuple(constraints)
        self.catalogue = catalogue
        sharing.check(root, name)
        if self.constraints and self.size() == 0:
            raise SpaceError(
                f"space {name!r}: no genotype keeps all constraints "
                f"({'; '.join(map(str, self.constraints))}); drop or loosen one"
            )

    def __repr__(self) -> str:
        return f"<SearchSpace {self.name!r}: {len(self.choices)} choices>"

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over description, budget and constraints, not the name."""
        return description.digest(self.root, self.budget, self.constraints)

    @cached_property
    def choices(self) -> Mapping[str, Choice]:
        """Every choice of the space by path, active or not, in tree order."""
        return MappingProxyType({choice.path: choice for choice in walk.all_choices(self.root)})

    @cached_property
    def tally(self) -> Tally:
        """The constraints, bound to the choices they are about."""
        return Tally(self.constraints, self.choices, self.name)

    @cached_property
    def members(self) -> Members[int]:
        """The genotypes that keep the constraints, for counting."""
        return feasible.counted(self.root, self.tally)

    def with_catalogue(self, catalogue: Catalogue) -> SearchSpace:
        """Return the same space, its operations made by another catalogue."""
        return SearchSpace(
            self.name,
            self.root,
            budget=self.budget,
            constraints=self.constraints,
            catalogue=catalogue,
        )

    # Counting

    def size(self) -> int:
        """Count the genotypes that keep the constraints, exactly."""
        if self.constraints:
            return self.members.total() or 0
        return counting.size(self.root)

    def distinct_size(self) -> int:
        """Count the distinct functions: genotypes that `canonical` makes one count once."""
        return distinct_size(self.root, self.tally)

    def rank(self, genotype: Genotype) -> int:
        """Return the genotype's position in [0, size())."""
        self.validate(genotype)
        if self.constraints:
            return feasible.rank(self.members, genotype.choices)
        return counting.rank(self.root, "", genotype.choices)

    def unrank(self, index: int) -> Genotype:
        """Return the genotype at a position.

        Raises:
            IndexError: The position is not in [0, size()).
        """
        if not 0 <= index < self.size():
            raise IndexError(f"space {self.name!r} has {self.size()} genotypes; none is {index}")
        if self.constraints:
            return self._genotype(feasible.unrank(self.members, index))
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

        for _ in walk.active_choices(self.root, choose):
            pass
        return self._genotype(chosen)

    def genotype(self, choices: Mapping[str, str]) -> Genotype:
        """Build the genotype with these choices.

        Raises:
            InvalidGenotypeError: They do not fit; the text names every wrong path.
        """
        refuse(self, problems(self, choices))
        return self.decide(lambda choice: choices[choice.path])

    def sample(self, *, seed: int | None = None, rng: random.Random | None = None) -> Genotype:
        """Draw a genotype uniformly over all `size()` of them.

        Give either a seed or a generator. In a conditional space a key is drawn in proportion to
        the number of members under it.
        """
        return variation.sample(self, _generator(seed, rng))

    def cheapest(self, costs: Mapping[str, Mapping[str, float]]) -> Genotype:
        """Return a member of the least total cost over its active choices.

        Args:
            costs: Choice path → key → cost, for every choice of the space.
        """
        return self._genotype(feasible.cheapest(feasible.priced(self.root, self.tally, costs)))

    def mutate(
        self,
        genotype: Genotype,
        *,
        seed: int | None = None,
        rng: random.Random | None = None,
        count: int = 1,
    ) -> Genotype:
        """Return the genotype with `count` of its choices changed to another key.

        Only choices that have an effect are changed, so the result is another function. Choices
        that become active are drawn uniformly.

        Raises:
            SpaceError: The genotype has fewer than `count` choices that could change, or no such
                change keeps the constraints.
        """
        return variation.mutate(self, genotype, _generator(seed, rng), count)

    def crossover(
        self,
        one: Genotype,
        other: Genotype,
        *,
        seed: int | None = None,
        rng: random.Random | None = None,
    ) -> Genotype:
        """Return a genotype that takes each choice from one of two parents at random.

        Where constraints forbid nearly every mixture, it is drawn from those that keep them; the
        parents are among these.
        """
        return variation.crossover(self, one, other, _generator(seed, rng))

    def canonical(self, genotype: Genotype) -> Genotype:
        """Return the representative of all genotypes that do the same.

        Choices without effect, because their operation is at its neutral values or nothing that is
        chosen uses what is shared, are set to their first key, so that duplicates compare equal.
        Where that breaks a constraint, it is the first member that does the same.
        """
        return variation.canonical(self, genotype)

    def effective(self, genotype: Genotype) -> frozenset[str]:
        """Return the paths of the choices that have an effect.

        Raises:
            InvalidGenotypeError: The genotype is not of this space.
        """
        self.resolve(genotype)
        return frozenset(effective_choices(self.root, genotype.choices))

    # Reading genotypes

    def validate(self, genotype: Genotype) -> None:
        """Check that a genotype is a member.

        Raises:
            InvalidGenotypeError: It is not; the text names every wrong path with what is near.
        """
        need_genotype(self, genotype)
        found = problems(self, genotype.choices)
        if genotype.space_digest != self.digest:
            found.insert(0, another_space(self, genotype, fits=not found))
        refuse(self, found)

    def admits(self, genotype: Genotype) -> bool:
        """Say whether a genotype of this description keeps the constraints."""
        return self.tally.admits(genotype.choices) if self.constraints else True

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

    def part(self, name: str, genotype: Genotype) -> tuple[SearchSpace, Genotype]:
        """Return a top-level part as a space of its own, with its share of a genotype.

        It keeps the constraints that are about it alone, and has no budget.

        Raises:
            SpaceError: The space has no such part, or the part refers to what is shared outside it.
        """
        root = self.root
        while isinstance(root, Shared):
            root = root.body
        parts = root.children if isinstance(root, Group) else {}
        if name not in parts:
            raise SpaceError(
                f"space {self.name!r} has no part {name!r}.{did_you_mean(name, parts)}"
            )
        own = [limit for limit in (c.within(name) for c in self.constraints) if limit is not None]
        try:
            space = SearchSpace(name, parts[name], constraints=own, catalogue=self.catalogue)
        except SpaceError as error:
            raise SpaceError(
                f"part {name!r} of space {self.name!r} cannot stand alone: {error}"
            ) from error
        return space, space.genotype(
            {
                path.removeprefix(name).removeprefix("/"): key
                for path, key in genotype.choices.items()
                if path == name or path.startswith(f"{name}/")
            }
        )

    # As text

    def describe(self) -> str:
        """Return a readable description, a line for each part."""
        limits = (f"constraint: {limit}" for limit in self.constraints)
        return "\n".join((*description.lines(self.root, self.name), *limits))

    def to_json(self) -> str:
        """Return the description as JSON text; the catalogue is not part of it."""
        plain = description.space_to_plain(self)
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, catalogue: Catalogue | None = None) -> SearchSpace:
        """Read what `to_json` gave.

        Raises:
            SpaceError: The text is something else.
        """
        plain = parse_json(text, SpaceError, "a space")
        name, root, budget, constraints = description.space_from_plain(plain)
        return cls(name, root, budget=budget, constraints=constraints, catalogue=catalogue)

    def _genotype(self, chosen: Mapping[str, str]) -> Genotype:
        return Genotype(
            chosen, space=self.name, space_digest=self.digest, provenance=self.provenance
        )

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        """Distribution → version of the plugins whose operations it has; a note, not its digest."""
        if self.catalogue is None:
            return {}
        named = sorted(set(description.operations(self.root)))
        return dict(self.catalogue.origin(kind, name) for kind, name in named)


def _generator(seed: int | None, rng: random.Random | None) -> random.Random:
    if (seed is None) == (rng is None):
        raise SpaceError("give either seed=<int> or rng=<random.Random>, one of the two")
    return rng if rng is not None else random.Random(seed)  # noqa: S311
