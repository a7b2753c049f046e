"""Compiled loops that give up the interpreter's lock, a share of the work in each thread."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Share = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def shares(count: int, threads: int) -> list[tuple[int, int]]:
    """Divide 0, 1, …, count − 1 into ranges of about the same length, `threads` of them at most."""
    bounds = [count * n // threads for n in range(threads + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


def in_threads(work: Callable[..., object], bounds: Sequence[tuple[int, ...]]) -> None:
    """Call `work(*bound)` for each bound, at once where there are several.

    The threads are those in which torch computes. Between two of its operators these do not sleep
    but spin for some milliseconds, and would keep other threads from the processor. Where torch
    does not use GNU's OpenMP, threads are started for each call.

    What the calls write must not overlap. An error is raised when all have ended.
    """
    if len(bounds) < 2:
        for bound in bounds:
            work(*bound)
        return
    waiting, errors = deque(bounds), list[BaseException]()

    def take_shares(_: object = None) -> None:
        while True:
            try:
                bound = waiting.popleft()
            except IndexError:
                return
            try:
                work(*bound)
            except BaseException as error:
                errors.append(error)

    team = _gnu_team()
    if team is None:
        with ThreadPoolExecutor(len(bounds) - 1) as pool:
            for _ in bounds[1:]:
                pool.submit(take_shares)
            take_shares()
    else:
        # With another number of threads than torch has, OpenMP would end some and start them anew.
        team(_Share(take_shares), None, max(torch.get_num_threads(), 2), 0)
    if errors:
        raise errors[0]


@functools.cache
def _gnu_team() -> Any:
    """Return the function that runs another in each thread of a team, or None."""
    try:
        team = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # another OpenMP, or another system
        return None
    team.argtypes, team.restype = (_Share, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return team
