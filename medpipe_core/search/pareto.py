"""Ranking by several objectives at once: Pareto fronts and crowding (Deb et al. 2002, NSGA-II).

In all functions an objective is a number of which less is better; what is to be large is negated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = Sequence[float]


def dominates(one: Point, other: Point) -> bool:
    """Say whether a point is nowhere worse than another, and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Sort points into fronts (Deb et al. 2002, section III-A).

    Returns:
        Indices of the points that no other dominates, then of those that only these dominate, and
        so on; within a front in their order.
    """
    left = list(range(len(points)))
    found = []
    while left:
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        found.append(front)
        left = [i for i in left if i not in set(front)]
    return found


def crowding(points: Sequence[Point]) -> list[float]:
    """Return how far the neighbours of each point of a front are (section III-B).

    Each objective adds the gap between the two neighbours along it, as a share of the front's
    range; its ends are infinitely far. An objective that is the same for all adds nothing.
    """
    distances = [0.0] * len(points)
    for values in zip(*points, strict=True):
        order = sorted(range(len(values)), key=values.__getitem__)
        low, high = values[order[0]], values[order[-1]]
        if low == high:
            continue
        distances[order[0]] = distances[order[-1]] = math.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distances[here] += (values[after] - values[before]) / (high - low)
    return distances


def ranked(points: Sequence[Point]) -> list[int]:
    """Return the indices of points, the best first: by front, then the least crowded first.

    Points that are equal in both keep their order.
    """
    order = []
    for front in fronts(points):
        distances = dict(zip(front, crowding([points[i] for i in front]), strict=True))
        order += sorted(front, key=lambda i: -distances[i])
    return order
