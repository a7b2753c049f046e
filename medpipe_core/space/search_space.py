"""The search space: a description with a name, and what can be asked of it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from medpipe_core.errors import did_you_mean
from medpipe_core.space import constrained_counting, serialization, variation
from medpipe_core.space.choices import all_choices
from medpipe_core.space.description import lines
from medpipe_core.space.errors import SpaceError
from medpipe_core.space.genotype_set import GenotypeSet
from medpipe_core.space.known import known_of_part, known_within
from medpipe_core.space.narrowing import named_keys, narrowed
from medpipe_core.space.nodes import Group, Shared
from medpipe_core.space.untrusted_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from medpipe_core.space.catalogue import Catalogue
    from medpipe_core.space.genotype import Genotype
    from medpipe_core.space.values import Value


class SearchSpace(GenotypeSet):
    """A set of genotypes, described by a tree of nodes.

    Args:
        name: How people call it.
        root: Its description.
        budget: Upper limits that every searcher keeps; None for none.
        constraints: What its genotypes must keep; what breaks one is no member.
        catalogue: Who makes its operations; needed to bind modules, not to describe or sample.
        known: Name → path or pattern → key, or the value it stands for: choices that are known to
            be good, such as a policy out of a textbook, which a search may begin with. What they
            leave open is drawn. A note, not part of the digest or the JSON text.

    Raises:
        SpaceError: A reference leads nowhere, a constraint or something known is about a path or
            key that is not there, or nothing keeps all constraints.

    Example:
        >>> from medpipe_core import Group, SearchSpace, ValueChoice
        >>> root = Group({"depth": ValueChoice(1, 2), "width": ValueChoice(8, 16)})
        >>> space = SearchSpace("toy", root)
        >>> space.size()
        4
        >>> dict(space.unrank(2).choices)
        {'depth': '2', 'width': '8'}
    """

    # Making genotypes

    def sample(
        self,
        *,
        seed: int | None = None,
        rng: random.Random | None = None,
        weights: Mapping[str, Sequence[int]] | None = None,
    ) -> Genotype:
        """Draw a genotype uniformly over all `size()` of them.

        Give either a seed or a generator. In a conditional space a key is drawn in proportion to
        the number of members under it.

        Args:
            seed: A seed.
            rng: Or a generator.
            weights: Choice path → weight of each key, such as `active_weights`; by how much these
                are likelier than uniformly. Choices that are left out are drawn as ever.
        """
        return variation.sample(self, _generator(seed, rng), weights)

    def cheapest(self, costs: Mapping[str, Mapping[str, float]]) -> Genotype:
        """Return a member of the least total cost over its active choices.

        Args:
            costs: Choice path → key → cost, for every choice of the space.
        """
        return self.with_choices(
            constrained_counting.cheapest(
                constrained_counting.priced(self.root, self.constraint_counter, costs)
            )
        )

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

    def known_as(self, genotype: Genotype) -> list[str]:
        """Name what is known that a genotype agrees with, as far as its choices have an effect."""
        itself = self.canonical(genotype)

        def agrees(choices: Mapping[str, str]) -> bool:
            given = {**genotype.choices, **choices}
            laid = self.decide(lambda choice: given.get(choice.path, choice.keys[0]))
            return self.admits(laid) and self.canonical(laid) == itself

        return [name for name, choices in self.known.items() if agrees(choices)]

    # Other spaces

    def with_catalogue(self, catalogue: Catalogue) -> SearchSpace:
        """Return the same space, its operations made by another catalogue."""
        return SearchSpace(
            self.name,
            self.root,
            budget=self.budget,
            constraints=self.constraints,
            catalogue=catalogue,
            known=self.known,
        )

    def restrict(
        self, keys: Mapping[str, Iterable[Value]] | None = None, /, **more: Iterable[Value]
    ) -> SearchSpace:
        """Return the space with fewer keys to choose from; constraints and budget are kept.

        Of what is known, that stays whose keys are all left.

        Its genotypes are genotypes here, by `genotype(narrower.choices)`: paths stay as they are.

        Args:
            keys: Path, or pattern with `*`, `?` and `[...]` as in file names (`*` crosses slashes)
                → the keys that are left, or the values they stand for. Where several patterns match
                a path, what all of them leave is left.
            more: The same for paths that are Python names.

        Raises:
            SpaceError: A path or key is not there, nothing is left of a choice, or no genotype is
                left that keeps the constraints.

        Example:
            >>> from medpipe_core import Group, SearchSpace, ValueChoice
            >>> space = SearchSpace("toy", Group({x: ValueChoice(1, 2, 3) for x in "ab"}))
            >>> space.restrict({"*": [1, 2]}).size(), space.restrict(a=[3]).size()
            (4, 3)
        """
        root, constraints = narrowed(self, named_keys(keys or {}, more, "restrict"))
        return SearchSpace(
            self.name,
            root,
            budget=self.budget,
            constraints=constraints,
            catalogue=self.catalogue,
            known=known_within(self.known, {choice.path: choice for choice in all_choices(root)}),
        )

    def fix(self, keys: Mapping[str, Value] | None = None, /, **more: Value) -> SearchSpace:
        """Return the space with some choices decided: `restrict` to one key each.

        Args:
            keys: Path or pattern → key, or the value it stands for.
            more: The same for paths that are Python names.

        Raises:
            SpaceError: As `restrict`.

        Example:
            >>> from medpipe_core import Group, SearchSpace, ValueChoice
            >>> space = SearchSpace("toy", Group({x: ValueChoice(1, 2, 3) for x in "ab"}))
            >>> space.fix(a=3).size()
            3
        """
        return self.restrict(
            {path: [key] for path, key in named_keys(keys or {}, more, "fix").items()}
        )

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
            space = SearchSpace(
                name,
                parts[name],
                constraints=own,
                catalogue=self.catalogue,
                known=known_of_part(self.known, name),
            )
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
        return "\n".join((*lines(self.root, self.name), *limits))

    def to_json(self) -> str:
        """Return the description as JSON text; the catalogue is not part of it."""
        plain = serialization.space_to_plain(self.name, self.root, self.budget, self.constraints)
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, catalogue: Catalogue | None = None) -> SearchSpace:
        """Read what `to_json` gave.

        Raises:
            SpaceError: The text is something else.
        """
        plain = parse_json(text, SpaceError, "a space")
        name, root, budget, constraints = serialization.space_from_plain(plain)
        return cls(name, root, budget=budget, constraints=constraints, catalogue=catalogue)


def _generator(seed: int | None, rng: random.Random | None) -> random.Random:
    if (seed is None) == (rng is None):
        raise SpaceError("give either seed=<int> or rng=<random.Random>, one of the two")
    if rng is not None:
        return rng
    if not isinstance(seed, int):
        raise SpaceError(f"a seed must be an integer, but is {seed!r}")
    return random.Random(seed)  # noqa: S311
