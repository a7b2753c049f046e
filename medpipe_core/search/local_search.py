"""Local search: from a genotype that is admitted towards the keys that are preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medpipe_core.space import Genotype, SearchSpace


def local_search(
    space: SearchSpace,
    start: Genotype,
    regrets: Mapping[str, Mapping[str, float]],
    admits: Callable[[Genotype], bool],
) -> Genotype:
    """Return a genotype of less regret than `start`, as far as budget and constraints allow.

    Choice after choice, the most regretted first, takes the best key that is admitted beside the
    others, until none can take a better one. Where a constraint stands in the way, as few others
    as can be change with it. A genotype of still less regret may exist, which several changes at
    once would reach.

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
                now = _better(space, now, path, order, regrets, admits)
    return now


def _better(
    space: SearchSpace,
    now: Genotype,
    path: str,
    order: Mapping[str, list[str]],
    regrets: Mapping[str, Mapping[str, float]],
    admits: Callable[[Genotype], bool],
) -> Genotype:
    """Return the genotype with the best admitted key at `path`; what it opens is as preferred."""
    for key in order[path][: order[path].index(now[path])]:
        kept = {**now.choices, path: key}
        moved = space.decide(lambda choice: kept.get(choice.path, order[choice.path][0]))  # noqa: B023
        if not space.admits(moved):
            moved = _repaired(space, moved, path, regrets)
            if _regret(moved, regrets) >= _regret(now, regrets):
                continue
        if admits(moved):
            return moved
    return now


def _repaired(
    space: SearchSpace, moved: Genotype, path: str, regrets: Mapping[str, Mapping[str, float]]
) -> Genotype:
    """Return a member with as few changes as can be; the key at `path` is the last to change."""
    one_change = 1 + 2 * sum(max(of_keys.values()) for of_keys in regrets.values())
    costs = {}
    for other, of_keys in regrets.items():
        was = moved.choices.get(other)
        change = 0.0 if was is None else one_change * (len(regrets) if other == path else 1)
        costs[other] = {
            key: regret + (0.0 if key == was else change) for key, regret in of_keys.items()
        }
    return space.cheapest(costs)


def _regret(genotype: Genotype, regrets: Mapping[str, Mapping[str, float]]) -> float:
    return sum(regrets[path][key] for path, key in genotype.choices.items())
