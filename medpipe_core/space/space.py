"""The search space: a description with a name, and what can be asked of it."""

from __future__ import annotations

import bisect
import itertools
import json
import random
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from medpipe_core.errors import did_you_mean
from medpipe_core.space import counting, description, walk
from medpipe_core.space.catalogue import Catalogue, merge
from medpipe_core.space.description import Budget
from medpipe_core.space.errors import InvalidGenotypeError, SpaceError
from medpipe_core.space.genotype import Genotype, parse_json
from medpipe_core.space.nodes import Group, Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.space.nodes import Value
    from medpipe_core.space.walk import Choice, Step

_FORMAT = "medpipe-space-1"


class SearchSpace:
    """A set of genotypes, described by a tree of nodes.

    Args:
        name: How people call it.
        root: Its description.
        budget: Upper limits that every searcher keeps; None for none.
        catalogue: Who makes its operations; needed to bind modules, not to describe or sample.

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
        catalogue: Catalogue | None = None,
    ) -> None:
        self.name = name
        self.root = root
        self.budget = budget
        self.catalogue = catalogue

    def __repr__(self) -> str:
        return f"<SearchSpace {self.name!r}: {len(self.choices)} choices>"

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over the description and budget; the name does not count."""
        return description.digest(self.root, self.budget)

    @cached_property
    def choices(self) -> Mapping[str, Choice]:
        """Every choice of the space by path, active or not, in tree order."""
        return MappingProxyType({choice.path: choice for choice in walk.all_choices(self.root)})

    def with_catalogue(self, catalogue: Catalogue) -> SearchSpace:
        """Return the same space, its operations made by another catalogue."""
        return SearchSpace(self.name, self.root, budget=self.budget, catalogue=catalogue)

    # Counting

    def size(self) -> int:
        """Count the genotypes, exactly."""
        return counting.size(self.root)

    def distinct_size(self) -> int:
        """Count the distinct functions: an operation at its neutral values counts once."""
        return counting.distinct_size(self.root)

    def rank(self, genotype: Genotype) -> int:
        """Return the genotype's position in [0, size())."""
        self.validate(genotype)
        return counting.rank(self.root, "", genotype.choices)

    def unrank(self, index: int) -> Genotype:
        """Return the genotype at a position.

        Raises:
            IndexError: The position is not in [0, size()).
        """
        if not 0 <= index < self.size():
            raise IndexError(f"space {self.name!r} has {self.size()} genotypes; none is {index}")
        chosen: dict[str, str] = {}
        counting.unrank(self.root, "", index, chosen)
        return self.decide(lambda choice: chosen[choice.path])

    # Making genotypes

    def decide(self, pick: Callable[[Choice], str]) -> Genotype:
        """Build a genotype by asking `pick` for the key of each active choice, in tree order."""
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
        self._refuse(self._problems(choices))
        return self.decide(lambda choice: choices[choice.path])

    def sample(self, *, seed: int | None = None, rng: random.Random | None = None) -> Genotype:
        """Draw a genotype uniformly over all `size()` of them.

        Give either a seed or a generator. In a conditional space a key is drawn in proportion to
        the number of members under it.
        """
        rng = _generator(seed, rng)
        return self.decide(lambda choice: _draw(choice, rng))

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
            SpaceError: The genotype has fewer than `count` choices that could change.
        """
        rng = _generator(seed, rng)
        self.validate(genotype)
        idle = self._without_effect(genotype)
        able = [p for p in genotype if p not in idle and len(self.choices[p].keys) > 1]
        if len(able) < count:
            raise SpaceError(
                f"space {self.name!r}: {len(able)} choices of this genotype can change, not {count}"
            )
        changed = set(rng.sample(able, count))

        def pick(choice: Choice) -> str:
            known = genotype.choices.get(choice.path)
            if known is None:
                return _draw(choice, rng)
            if choice.path not in changed:
                return known
            return rng.choice([key for key in choice.keys if key != known])

        return self.decide(pick)

    def crossover(
        self,
        one: Genotype,
        other: Genotype,
        *,
        seed: int | None = None,
        rng: random.Random | None = None,
    ) -> Genotype:
        """Return a genotype that takes each choice from one of two parents at random."""
        rng = _generator(seed, rng)
        self.validate(one)
        self.validate(other)

        def pick(choice: Choice) -> str:
            parents = [p for p in (one, other) if choice.path in p.choices]
            return rng.choice(parents)[choice.path]

        return self.decide(pick)

    def canonical(self, genotype: Genotype) -> Genotype:
        """Return the representative of all genotypes that do the same.

        Choices without effect, because their operation is at its neutral values, are set to their
        first key, so that duplicates compare equal.
        """
        idle = self._without_effect(genotype)
        return self.decide(
            lambda choice: choice.keys[0] if choice.path in idle else genotype[choice.path]
        )

    # Reading genotypes

    def validate(self, genotype: Genotype) -> None:
        """Check that a genotype is a member.

        Raises:
            InvalidGenotypeError: It is not; the text names every wrong path with what is near.
        """
        problems = self._problems(genotype.choices)
        if genotype.space_digest != self.digest:
            problems.insert(
                0,
                f"it was made for space {genotype.space!r} with digest {genotype.space_digest}, "
                f"this one has digest {self.digest}"
                + ("" if problems else "; all choices fit, so fixed parameters or order differ"),
            )
        self._refuse(problems)

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
        if genotype.space_digest != self.digest:
            self.validate(genotype)
        try:
            return tuple(walk.steps(self.root, genotype.choices))
        except (KeyError, ValueError):
            self.validate(genotype)
            raise

    def part(self, name: str, genotype: Genotype) -> tuple[SearchSpace, Genotype]:
        """Return a top-level part as a space of its own, with its share of a genotype.

        Raises:
            SpaceError: The space has no such part.
        """
        parts = self.root.children if isinstance(self.root, Group) else {}
        if name not in parts:
            raise SpaceError(
                f"space {self.name!r} has no part {name!r}.{did_you_mean(name, parts)}"
            )
        space = SearchSpace(name, parts[name], catalogue=self.catalogue)
        return space, space.genotype(
            {
                path.removeprefix(f"{name}/"): key
                for path, key in genotype.choices.items()
                if path.startswith(f"{name}/")
            }
        )

    # As text

    def describe(self) -> str:
        """Return a readable description, a line for each part."""
        return "\n".join(description.lines(self.root, self.name))

    def to_json(self) -> str:
        """Return the description as JSON text; the catalogue is not part of it."""
        plain: dict[str, Any] = {"format": _FORMAT, "name": self.name}
        plain["root"] = description.node_to_plain(self.root)
        if self.budget is not None:
            plain["budget"] = {
                "parameters": self.budget.parameters,
                "multiply_adds": self.budget.multiply_adds,
            }
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, catalogue: Catalogue | None = None) -> SearchSpace:
        """Read what `to_json` gave.

        Raises:
            SpaceError: The text is something else.
        """
        plain = parse_json(text, SpaceError, "a space")
        if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
            raise SpaceError(f"not a space: expected a JSON object of format {_FORMAT!r}")
        name, budget = plain.get("name"), plain.get("budget")
        if not isinstance(name, str):
            raise SpaceError("not a space: its name must be a text")
        if budget is not None and (
            not isinstance(budget, dict) or budget.keys() - {"parameters", "multiply_adds"}
        ):
            raise SpaceError(f"not a space: its budget is {budget!r}")
        return cls(
            name,
            description.node_from_plain(plain.get("root")),
            budget=None if budget is None else Budget(**budget),
            catalogue=catalogue,
        )

    def _genotype(self, chosen: Mapping[str, str]) -> Genotype:
        return Genotype(
            chosen, space=self.name, space_digest=self.digest, provenance=self._provenance
        )

    @cached_property
    def _provenance(self) -> Mapping[str, str]:
        if self.catalogue is None:
            return {}
        named = sorted(set(description.operations(self.root)))
        return dict(self.catalogue.origin(kind, name) for kind, name in named)

    def _without_effect(self, genotype: Genotype) -> frozenset[str]:
        idle: set[str] = set()
        for step in self.resolve(genotype):
            if step.neutral:
                own = {p for p in step.choices if self.choices[p].owner == step.path}
                idle |= own - {walk.join(step.path, name) for name in self._neutral[step.path]}
        return frozenset(idle)

    @cached_property
    def _neutral(self) -> Mapping[str, tuple[str, ...]]:
        return dict(walk.neutral_parameters(self.root))

    def _problems(self, choices: Mapping[str, str]) -> list[str]:
        problems = []
        for path, key in choices.items():
            if path not in self.choices:
                problems.append(f"{path!r} is no choice.{did_you_mean(path, self.choices)}")
            elif key not in self.choices[path].keys:
                hint = did_you_mean(str(key), self.choices[path].keys)
                problems.append(f"{path!r} cannot be {key!r}.{hint}")
        if problems:
            return problems
        missing: list[str] = []

        def choose(path: str) -> str:
            if path not in choices:
                missing.append(path)
            return choices.get(path, self.choices[path].keys[0])

        active = set(walk.active_choices(self.root, choose))
        problems += [f"{path!r} is missing" for path in missing]
        problems += [f"{path!r} is not active here" for path in choices if path not in active]
        return problems

    def _refuse(self, problems: list[str]) -> None:
        if not problems:
            return
        shown = "; ".join(problems[:10])
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise InvalidGenotypeError(f"not a genotype of space {self.name!r}: {shown}{more}")


def compose(
    name: str, *, budget: Budget | None = None, **parts: SearchSpace | Mutable
) -> SearchSpace:
    """Put spaces side by side; the choices of each get its name as a prefix.

    Args:
        name: Name of the new space.
        budget: Limits of the new space; those of the parts are not taken over.
        parts: Name → space or node, in running order.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice, compose
        >>> one = SearchSpace("one", Group({"x": ValueChoice(1, 2)}))
        >>> list(compose("both", a=one, b=one).choices)
        ['a/x', 'b/x']
    """
    nodes = {n: part.root if isinstance(part, SearchSpace) else part for n, part in parts.items()}
    catalogues = [part.catalogue for part in parts.values() if isinstance(part, SearchSpace)]
    return SearchSpace(name, Group(nodes), budget=budget, catalogue=merge(catalogues))


def _generator(seed: int | None, rng: random.Random | None) -> random.Random:
    if (seed is None) == (rng is None):
        raise SpaceError("give either seed=<int> or rng=<random.Random>, one of the two")
    return rng if rng is not None else random.Random(seed)  # noqa: S311


def _draw(choice: Choice, rng: random.Random) -> str:
    if choice.weights is None:
        return rng.choice(choice.keys)
    sums = list(itertools.accumulate(choice.weights))
    return choice.keys[bisect.bisect_right(sums, rng.randrange(sums[-1]))]
