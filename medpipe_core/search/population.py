"""Population-based augmentation: networks train side by side, and the worse copy the better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from medpipe_core.errors import MedpipeError, did_you_mean
from medpipe_core.search.score_searcher import ScoreSearcher
from medpipe_core.space import Genotype
from medpipe_core.supernet.building import NETWORK_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_core.search.outcome import Outcome
    from medpipe_core.space import Choice, SearchSpace

_TRIES = 50


class PopulationError(MedpipeError):
    """A part of a space that cannot be perturbed while networks train."""


class PopulationSearcher(ScoreSearcher):
    """Trains a population by stretches; after each the worse half copies and perturbs the better.

    An epoch is a stretch: all members are proposed, and each one's training goes on from its own
    weights or, for one that replaces a worse one, from those of the member that it copied. The
    first population is drawn. What is perturbed are choices of one part, such as the augmentation;
    all others are copied with the weights, whose shapes follow from them. Members that failed count
    as the worst.

    The best is the best of the last stretch: scores rise while the networks train, so that earlier
    ones do not compare. Its network has had other policies before, those of the members that it
    descends from. The answer is the last policy, or all of them as a schedule.

    Ho et al., "Population based augmentation", ICML 2019, which is population-based training
    (Jaderberg et al. 2017) of a policy; there a quarter copies a quarter, and the answer is the
    schedule (section 3).

    Args:
        space: The space to search.
        part: What is perturbed: the choices at this path and below.
        mutations: How many of its choices a perturbation changes, fewer where it has fewer.
        resample: Probability that a changed choice of values takes any other key; otherwise the one
            before or after.
        prior_active: As for `ScoreSearcher`.
        answer: What is retrained: with the last `"policy"` throughout, or by the `"schedule"`, the
            policies that the best member has had, each for an equal stretch.
        known: As for `ScoreSearcher`.
        kwargs: `seed`, `steps` and `admit`, as for every searcher.

    Raises:
        PopulationError: The space has no choices in the part, or the part decides about blocks.
    """

    carries = True

    def __init__(
        self,
        space: Any,
        *,
        part: str = "augment",
        mutations: int = 3,
        resample: float = 0.2,
        prior_active: float = 0.0,
        known: Literal["space"] | Sequence[str | Mapping[str, Any]] = (),
        answer: Literal["policy", "schedule"] = "policy",
        **kwargs: Any,
    ) -> None:
        super().__init__(space, prior_active=prior_active, known=known, **kwargs)
        self._scheduled = answer == "schedule"
        self._part = _checked_part(space, part)
        self._mutations = mutations
        self._resample = resample
        self._members: list[Genotype] = []
        self._scores: dict[str, float] = {}
        self._parents: dict[str, str] = {}
        self._answer: tuple[float, Genotype] | None = None
        self._ancestors: dict[str, tuple[Genotype, ...]] = {}
        self._schedule: tuple[Genotype, ...] = ()

    def observe(self, outcome: Outcome) -> None:
        """Keep the score of a member; the best is the best of this stretch."""
        digest = outcome.genotype.digest
        if outcome.score is None or digest not in self._parents:
            return
        if not self._scores or self._answer is None or outcome.score > self._answer[0]:
            self._answer = (outcome.score, outcome.genotype)
            self._schedule = (*self._ancestors[digest], outcome.genotype)
        self._scores[digest] = outcome.score

    def propose(self, count: int) -> list[Genotype]:
        """Return the members of the next stretch: the better half, and perturbed copies of it."""
        scored = [member for member in self._members if member.digest in self._scores]
        better = sorted(scored, key=lambda member: -self._scores[member.digest])
        kept = better[: math.ceil(count / 2)]
        parents = {member.digest: member.digest for member in kept}
        members = {self.space.canonical(member).digest: member for member in kept}
        for _ in range(count * _TRIES if kept else 0):
            if len(members) == count:
                break
            parent = self._random.choice(kept)
            child = self._perturbed(parent)
            if self.admits(child) and self.space.canonical(child).digest not in members:
                members[self.space.canonical(child).digest] = child
                parents[child.digest] = parent.digest
        found = list(members.values())
        found += [g for g in self.unseen(count - len(found)) if g.digest not in parents]
        before = {member.digest: (*self._ancestors[member.digest], member) for member in kept}
        self._members, self._scores = found, {}
        self._parents = {member.digest: parents.get(member.digest, "") for member in found}
        self._ancestors = {own: before.get(parent, ()) for own, parent in self._parents.items()}
        return list(found)

    def parent(self, genotype: Genotype) -> str | None:
        """Return the digest of the member whose weights a proposal goes on from; None for fresh."""
        return self._parents.get(genotype.digest) or None

    def best(self) -> Genotype:
        """Return the best member of the last stretch that has scores."""
        return super().best() if self._answer is None else self._answer[1]

    def schedule(self) -> tuple[Genotype, ...]:
        """Return the policies that the best member has had, if they are to be the answer."""
        return self._schedule if self._scheduled else ()

    def insight(self) -> dict[str, Any]:
        """Return how many members there are and, if any is known, the mean of their scores."""
        scores = self._scores.values()
        mean = {"mean_score": sum(scores) / len(scores)} if scores else {}
        copied = sum(parent not in ("", own) for own, parent in self._parents.items())
        return {"population": len(self._members), "copied": copied, **mean}

    def state_dict(self) -> dict[str, Any]:
        """Return what every score searcher has, the members, their scores and parents."""
        answer = self._answer
        return {
            **super().state_dict(),
            "members": [member.to_dict() for member in self._members],
            "scores": dict(self._scores),
            "parents": dict(self._parents),
            "answer": None if answer is None else [answer[0], answer[1].to_dict()],
            "ancestors": {own: _plain(line) for own, line in self._ancestors.items()},
            "schedule": _plain(self._schedule),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        self._members = [Genotype.from_dict(member) for member in state["members"]]
        self._scores = dict(state["scores"])
        self._parents = dict(state["parents"])
        answer = state["answer"]
        self._answer = None if answer is None else (answer[0], Genotype.from_dict(answer[1]))
        self._ancestors = {own: _genotypes(line) for own, line in state["ancestors"].items()}
        self._schedule = _genotypes(state["schedule"])

    def _perturbed(self, genotype: Genotype) -> Genotype:
        """Change some choices of the part; what they open is drawn."""
        inside = (p for p in genotype if p == self._part or p.startswith(f"{self._part}/"))
        able = [path for path in inside if len(self.space.choices[path].keys) > 1]
        changed = set(self._random.sample(able, min(self._mutations, len(able))))

        def pick(choice: Choice) -> str:
            known = genotype.choices.get(choice.path)
            if known is None:
                return self._random.choice(choice.keys)
            return self._other(choice, known) if choice.path in changed else known

        return self.space.decide(pick)

    def _other(self, choice: Choice, known: str) -> str:
        at = choice.keys.index(known)
        if choice.values is None or self._random.random() < self._resample:
            return self._random.choice([key for key in choice.keys if key != known])
        near = [i for i in (at - 1, at + 1) if 0 <= i < len(choice.keys)]
        return choice.keys[self._random.choice(near)]


def _plain(genotypes: Sequence[Genotype]) -> list[dict[str, Any]]:
    return [genotype.to_dict() for genotype in genotypes]


def _genotypes(told: Sequence[Mapping[str, Any]]) -> tuple[Genotype, ...]:
    return tuple(Genotype.from_dict(one) for one in told)


def _checked_part(space: SearchSpace, part: str) -> str:
    found = {path for path in space.choices if path == part or path.startswith(f"{part}/")}
    if not found:
        parts = dict.fromkeys(path.partition("/")[0] for path in space.choices)
        raise PopulationError(
            f"a population perturbs the part {part!r}, but space {space.name!r} has no choices "
            f"there; name one with searcher.part.{did_you_mean(part, parts)}"
        )
    steps = space.resolve(space.sample(seed=0))
    if any(step.kind in NETWORK_KINDS and not found.isdisjoint(step.choices) for step in steps):
        raise PopulationError(
            f"the part {part!r} of space {space.name!r} decides about blocks, and weights cannot "
            "be copied to other blocks; name a part of augmentations with searcher.part"
        )
    return part
