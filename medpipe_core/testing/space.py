"""What every search space promises."""

from __future__ import annotations

import inspect
import itertools
import random
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from medpipe_core.space import Genotype, SearchSpace, SpaceError
from medpipe_core.testing.checking import (
    given,
    in_words,
    require,
)
from medpipe_core.testing.elsewhere import NotPlainError, as_plain, run_elsewhere
from medpipe_core.testing.enumeration import every_member
from medpipe_core.testing.space_running import RunningContract
from medpipe_core.testing.watching import global_seeds, global_state_kept

_LEAST_P = 1e-5  # how seldom a right space is called uneven, did its seeds not stay the same
_BUCKETS = 16
_HEIRS = (
    "A SearchSpace has this from its description: if a subclass overrides this method, remove it"
)
_ELSEWHERE = """
from medpipe_core.space import SearchSpace
found = elsewhere.from_plain(asked["what"])
if isinstance(found, str):
    import pkgutil
    found = pkgutil.resolve_name(found)
space = found if isinstance(found, SearchSpace) else found()
print("\\n" + json.dumps([space.digest, space.sample(seed=3).digest]))
"""


class SpaceContract(RunningContract):
    """What every space promises; inherit it, and say which space is meant.

    Attributes:
        space: A `SearchSpace`, a function without arguments that makes one, or an import string of
            either. With an import string another process makes the space anew, too.
        most_members: Spaces up to this size, constraints apart, are enumerated whole.
        draws: How many samples are looked at.
        binds: Whether it is bound to a `Supernet`; by default where it has a catalogue.
        in_channels: Channels of the volumes for that.
        num_classes: Logits.
        size: Spatial size of the volumes, for that and for the budget.

    Example:
        >>> from medpipe_core import Group, ValueChoice
        >>> class TestToy(SpaceContract):
        ...     space = SearchSpace("toy", Group({"a": ValueChoice(1, 2), "b": ValueChoice(3, 4)}))
        >>> TestToy().test_its_size_is_the_number_of_its_members()
    """

    space: Any = None
    most_members: int = 2000
    draws: int = 1500

    def test_its_size_is_the_number_of_its_members(self) -> None:
        """`size()` is what counting one after another gives, where that is possible."""
        space = self.make()
        described = SearchSpace(space.name, space.root).size()  # as many are looked at
        if described > self.most_members:
            pytest.skip(f"it describes {described} genotypes; most_members = {self.most_members}")
        members = {genotype.digest for genotype in every_member(space)}
        require(
            len(members) == space.size(),
            f"space {space.name!r} says size() = {space.size()}, but has {len(members)} members. "
            f"{_HEIRS}",
        )
        ranked = {space.unrank(rank).digest for rank in range(space.size())}
        require(
            ranked == members,
            f"unrank of space {space.name!r} reaches {len(ranked & members)} of {len(members)} "
            f"members. {_HEIRS}",
        )

    def test_rank_and_unrank_undo_each_other(self) -> None:
        """A member's rank leads back to it, and a rank outside is an error."""
        space = self.make()
        last = space.size() - 1
        rng = random.Random(0)  # noqa: S311
        for rank in (0, last, *(rng.randint(0, last) for _ in range(30))):
            require(
                space.rank(space.unrank(rank)) == rank,
                f"rank(unrank({rank})) of space {space.name!r} is "
                f"{space.rank(space.unrank(rank))}. {_HEIRS}",
            )
        for rank in (-1, last + 1):
            try:
                space.unrank(rank)
            except IndexError:
                continue
            require(False, f"unrank({rank}) of space {space.name!r} raises no IndexError")

    def test_every_sample_is_a_member(self) -> None:
        """What is sampled validates, and the same seed samples the same."""
        space = self.make()
        for seed in range(min(self.draws, 200)):
            genotype = space.sample(seed=seed)
            self.member(space, genotype, f"sample(seed={seed})")
            require(
                genotype == space.sample(seed=seed),
                f"sample(seed={seed}) of space {space.name!r} gives another genotype each time; "
                "draw from random.Random(seed) alone",
            )

    def test_sampling_is_uniform(self) -> None:
        """The ranks of samples are spread evenly over all members."""
        space = self.make()
        total = space.size()
        if total == 1:
            pytest.skip("it has one member")
        rng = random.Random(0)  # noqa: S311
        buckets = min(total, _BUCKETS)
        found = np.zeros(buckets)
        for _ in range(self.draws):
            found[space.rank(space.sample(rng=rng)) * buckets // total] += 1
        edges = [-(-bucket * total // buckets) for bucket in range(buckets + 1)]
        shares = [(high - low) / total for low, high in itertools.pairwise(edges)]
        p = float(chisquare(found, np.array(shares) * self.draws).pvalue)
        require(
            p > _LEAST_P,
            f"samples of space {space.name!r} are not uniform over its members: of {self.draws} "
            f"samples {found.astype(int).tolist()} fell into {buckets} parts of equal size "
            f"(chi-square, p = {p:.1e}). In a conditional space a key is drawn in proportion to "
            f"the members under it. {_HEIRS}",
        )

    def test_sampling_uses_no_global_random_state(self) -> None:
        """Global seeds do not matter to sampling and mutation, nor are they moved."""
        space, results = self.make(), []
        for seed in (1, 2):
            with global_seeds(seed), global_state_kept(space.name, "Draw from rng alone"):
                results.append([space.sample(seed=s) for s in range(10)])
        require(
            results[0] == results[1],
            f"samples of space {space.name!r} follow the global seed. Draw from rng alone",
        )

    def test_mutation_gives_another_member(self) -> None:
        """A mutant is a member that does something else."""
        space = self.make()
        for seed in range(30):
            genotype = space.sample(seed=seed)
            try:
                mutant = space.mutate(genotype, seed=seed)
            except SpaceError:
                continue  # nothing in this genotype can change
            self.member(space, mutant, "mutate")
            require(
                space.canonical(mutant) != space.canonical(genotype),
                f"mutate of space {space.name!r} changes nothing that has an effect. {_HEIRS}",
            )

    def test_crossover_takes_every_choice_from_a_parent(self) -> None:
        """A child is a member, each of whose choices is a parent's."""
        space = self.make()
        for seed in range(30):
            one, other = space.sample(seed=seed), space.sample(seed=seed + 1000)
            child = space.crossover(one, other, seed=seed)
            self.member(space, child, "crossover")
            strange = [
                path for path in child if child[path] not in _of(path, one) | _of(path, other)
            ]
            require(
                not strange,
                f"crossover of space {space.name!r} invents {', '.join(strange)}. {_HEIRS}",
            )

    def test_canonical_is_the_same_for_all_that_do_the_same(self) -> None:
        """The canonical form is a member, and its own canonical form."""
        space = self.make()
        for seed in range(50):
            form = space.canonical(space.sample(seed=seed))
            self.member(space, form, "canonical")
            require(
                space.canonical(form) == form,
                f"canonical of space {space.name!r}, applied twice, goes on changing. {_HEIRS}",
            )

    def test_genotypes_and_the_space_survive_json(self) -> None:
        """What is written as JSON is read back as the same."""
        space = self.make()
        genotype = space.sample(seed=0)
        require(
            Genotype.from_json(genotype.to_json()) == genotype,
            f"a genotype of space {space.name!r} is another one after JSON",
        )
        with in_words(f"space {space.name!r} cannot be written as JSON and read back."):
            again = SearchSpace.from_json(space.to_json(), catalogue=space.catalogue)
        require(
            again.digest == space.digest and again.sample(seed=0) == genotype,
            f"space {space.name!r} is another one after JSON (digest {again.digest}, was "
            f"{space.digest}). Describe it by nodes, budget and constraints, not by a subclass",
        )

    def test_it_is_the_same_in_another_process(self) -> None:
        """The digest and a sample are the same in a process with another hash seed."""
        space = self.make()
        require(
            self.make().digest == space.digest,
            f"space {space.name!r} is another one each time it is made. Let nothing in it depend "
            "on the time, on a draw or on what was made before",
        )
        try:
            target = as_plain(inspect.getattr_static(self, "space"))
            target = target.get("static", target) if isinstance(target, dict) else target
        except NotPlainError:
            target = {"space": space.to_json()}
        (found,) = run_elsewhere(_ELSEWHERE, target, f"space {space.name!r}")
        require(
            found == [space.digest, space.sample(seed=3).digest],
            f"space {space.name!r} is another one in another process. The order of names counts: "
            "do not build it from a set, whose order changes with every process",
        )

    # For tests of your own

    def make(self) -> SearchSpace:
        """Return the space."""
        __tracebackhide__ = True
        found = given(self, "space")
        if not isinstance(found, SearchSpace):
            with in_words("the space cannot be made without arguments."):
                found = found()
        require(
            isinstance(found, SearchSpace),
            f"space is a {type(found).__name__}, not a medpipe_core.SearchSpace",
        )
        return found  # type: ignore[no-any-return]

    def member(self, space: SearchSpace, genotype: Genotype, what: str) -> None:
        """Fail unless a genotype is a member."""
        __tracebackhide__ = True
        with in_words(f"{what} of space {space.name!r} gives no member. {_HEIRS}."):
            SearchSpace(
                space.name, space.root, budget=space.budget, constraints=space.constraints
            ).validate(genotype)


def _of(path: str, genotype: Genotype) -> set[str]:
    return {genotype[path]} if path in genotype.choices else set()
