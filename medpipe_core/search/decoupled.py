"""Decoupled search: one part of the space on a fixed network, then the rest (section V-A)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from medpipe_core.errors import MedpipeError
from medpipe_core.search.gumbel import GumbelSearcher
from medpipe_core.supernet.building import NETWORK_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from medpipe_core.space import Genotype, SearchSpace
    from medpipe_core.supernet import Decision

_NEVER = -1e9  # log-probability of a key that is ruled out; finite, so that sums of it are
_SHOWN = 12


class StagesError(MedpipeError):
    """A search that cannot go in the two stages that are asked for."""


class DecoupledSearcher(GumbelSearcher):
    """Learns the first part of a space on a fixed network, then the rest beside what it found.

    In the first stage a step trains the fixed network and teaches the choices of the first part,
    such as those of the augmentations. In the second stage these stay at their most probable keys;
    a step trains the supernet's path and teaches all other choices. Only the second stage proposes
    genotypes for scoring, so every score is that of a network of the space.

    Constraints and budget are kept in both stages: what the first stage ends with is a part of a
    genotype that is admitted.

    Args:
        space: The space to search.
        first: What the first stage learns: the choices at this path and below.
        first_share: Share of all steps that the first stage has, in (0, 1).
        model: Name of the registered model that is the fixed network.
        model_parameters: The model's own parameters.
        kwargs: As for `GumbelSearcher`. A schedule of the temperature runs once in each stage.

    Raises:
        StagesError: The space has no choices in the first part or none outside it, the part has
            blocks, which a fixed network does not run, or a stage would have no step.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        first: str = "augment",
        first_share: float = 0.5,
        model: str = "resnet18-2.5d",
        model_parameters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        self.networks = {model: dict(model_parameters or {})}
        self._model = model
        self._first = _choices_of(space, first)
        self._first_steps = _steps_of(first_share, self.steps)
        self._kept: dict[str, str] | None = None
        self._fresh = self._estimator.state_dict()

    def decide(self, step: int) -> Decision:
        """Sample a path: for the fixed network, or around what the first stage ended with."""
        if self._kept is None and step >= self._first_steps:
            best = self.best()
            self._kept = {path: key for path, key in best.choices.items() if path in self._first}
            # What was usual on the fixed network is not so on the supernet.
            self._estimator.load_state_dict(self._fresh)
        decision = super().decide(step)
        return decision if self._kept is not None else replace(decision, network=self._model)

    def propose(self, count: int) -> list[Genotype]:
        """Propose as `gumbel` does; nothing before the second stage has begun."""
        return [] if self._kept is None else super().propose(count)

    def insight(self) -> dict[str, Any]:
        """Return what `gumbel` does, and which stage it is in, 1 or 2."""
        return {**super().insight(), "stage": 1 if self._kept is None else 2}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of `gumbel`, and what the first stage ended with."""
        kept = None if self._kept is None else dict(self._kept)
        return {**super().state_dict(), "kept": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        self._kept = None if state["kept"] is None else dict(state["kept"])

    def _learns(self, path: str) -> bool:
        return (path in self._first) == (self._kept is None)

    def _progress(self, step: int) -> float:
        begin, end = (0, self._first_steps)
        if step >= end:
            begin, end = end, self.steps
        return min((step - begin) / max(end - begin - 1, 1), 1.0)

    def _log_p(self, path: str) -> Tensor:
        key = (self._kept or {}).get(path)
        if key is None:
            return super()._log_p(path)
        log_p = torch.full_like(self._theta[path].detach(), _NEVER)
        log_p[self._index(path, key)] = 0.0
        return log_p

    def _anything(self, generator: torch.Generator) -> Genotype:
        """Draw a member that keeps what the first stage ended with."""
        if self._kept is None:
            return super()._anything(generator)
        costs = {}
        for path, choice in self.space.choices.items():
            kept, noise = self._kept.get(path), torch.rand(len(choice.keys), generator=generator)
            costs[path] = {
                key: drawn + (0.0 if kept in (None, key) else -_NEVER)
                for key, drawn in zip(choice.keys, noise.tolist(), strict=True)
            }
        if self.space.constraints:
            return self.space.cheapest(costs)
        return self.space.decide(lambda c: min(c.keys, key=costs[c.path].__getitem__))


def _choices_of(space: SearchSpace, part: str) -> frozenset[str]:
    found = frozenset(p for p in space.choices if p == part or p.startswith(f"{part}/"))
    parts = list(dict.fromkeys(path.partition("/")[0] for path in space.choices))
    if not found:
        raise StagesError(
            f"the first stage would learn the part {part!r}, but space {space.name!r} has no "
            f"choices there; name one of its parts with searcher.first: {_listed(parts)}"
        )
    if len(found) == len(space.choices):
        raise StagesError(
            f"the part {part!r} is all that space {space.name!r} has to choose, so nothing is left "
            "for the second stage; search it with searcher=gumbel, or compose it with another part"
        )
    steps = space.resolve(space.sample(seed=0))
    if any(step.kind in NETWORK_KINDS and not found.isdisjoint(step.choices) for step in steps):
        raise StagesError(
            f"the part {part!r} of space {space.name!r} decides about blocks, which no fixed "
            "network runs, so a first stage would learn nothing; name a part of augmentations with "
            "searcher.first"
        )
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _steps_of(share: float, steps: int) -> int:
    first = round(share * steps)
    if not 0 < first < steps:
        raise StagesError(
            f"a first stage of {share} of {steps} steps leaves a stage without a step; raise "
            "search.epochs, or move searcher.first_share towards 0.5"
        )
    return first
