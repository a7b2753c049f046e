"""Compiled loops that give up the interpreter's lock, a share of the work in each thread."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def shares(count: int, threads: int) -> list[tuple[int, int]]:
    """Divide 0, 1, …, count − 1 into ranges of about the same length, `threads` of them at most."""
    bounds = [count * n // threads for n in range(threads + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


def in_threads(work: Callable[..., object], bounds: Sequence[tuple[int, ...]]) -> None:
    """Call `work(*bound)` for each bound at once, the first of them in this thread.

    What the calls write must not overlap. The first error is raised when all have ended.
    """
    if len(bounds) < 2:
        for bound in bounds:
            work(*bound)
        return
    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        others = [pool.submit(work, *bound) for bound in bounds[1:]]
        work(*bounds[0])
        for other in others:
            other.result()
