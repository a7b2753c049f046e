"""Few combinations in which every value, or every pair of values, comes up."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def every_value(choices: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return combinations in which every value of every choice comes up, as few as can be.

    Example:
        >>> every_value({"kernel": (3, 5), "expansion": (1, 2, 4)})[-1]
        {'kernel': 3, 'expansion': 4}
    """
    longest = max(map(len, choices.values()), default=0)
    return [
        {name: values[row % len(values)] for name, values in choices.items()}
        for row in range(longest)
    ]


def every_pair(choices: Mapping[str, Sequence[Any]], *, most: int = 64) -> list[dict[str, Any]]:
    """Return all combinations where these are few, else some in which every pair of values is.

    Args:
        choices: Name → values.
        most: How many combinations are few.
    """
    if math.prod(map(len, choices.values())) <= most:
        return [
            dict(zip(choices, values, strict=True))
            for values in itertools.product(*choices.values())
        ]
    sizes = {name: range(len(values)) for name, values in choices.items()}
    left = {
        ((one, i), (other, j))
        for one, other in itertools.combinations(choices, 2)
        for i, j in itertools.product(sizes[one], sizes[other])
    }
    rows = []
    while left:
        row = dict(min(left))
        for name in choices:
            if name not in row:
                row[name] = max(sizes[name], key=lambda i: _gain(left, row, name, i))
        left -= set(itertools.combinations([(name, row[name]) for name in choices], 2))
        rows.append({name: values[row[name]] for name, values in choices.items()})
    return rows


def _gain(left: set[Any], row: Mapping[str, int], name: str, index: int) -> int:
    """Count the pairs that a row would get of what is left, by one value more."""
    taken = ((other, i) for other, i in row.items())
    return sum(((pair, (name, index)) in left) + (((name, index), pair) in left) for pair in taken)
