"""Climbing from a genotype that is admitted towards the keys that are preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.space import Genotype, SearchSpace


def climb(
    space: SearchSpace,
    start: Genotype,
    regrets: Mapping[str, Mapping[str, float]],
    admits: Callable[[Genotype], bool],
) -> Genotype:
    """Return a genotype of less regret than `start`, as far as budget and constraints allow.

    Choice after choice, the most regretted first, takes the best key that is admitted beside the
    others, until none can take a better one. A genotype of still less regret may exist, which
    several changes at once would reach.

    Args:
        space: The space.
        start: A genotype that is admitted.
        regrets: Choice path → key → what is lost by taking it, for every choice of the space.
        admits: Says whether a genotype keeps the budget and the constraints.
    """
    order = {path: sorted(keys, key=keys.__getitem__) for path, keys in regrets.items()}
    now, before = start, None
    while now != before:
        before = now
        for path in sorted(now, key=lambda path: -regrets[path][before[path]]):
            if path in now.choices:  # else a change of this round has closed it
                now = _better(space, now, path, order, admits)
    return now


def _better(
    space: SearchSpace,
    now: Genotype,
    path: str,
    order: Mapping[str, list[str]],
    admits: Callable[[Genotype], bool],
) -> Genotype:
    """Return the genotype with the best admitted key at `path`; what it opens is as preferred."""
    for key in order[path][: order[path].index(now[path])]:
        kept = {**now.choices, path: key}
        moved = space.decide(lambda choice: kept.get(choice.path, order[choice.path][0]))  # noqa: B023
        if admits(moved):
            return moved
    return now
