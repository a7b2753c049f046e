"""What a run has done and what it is doing, by name, so that it can be gone on with.

A run is gone through from its beginning each time it is begun. Whoever does a part of it asks here
first: a part that is finished gives its result back at once, and one that was under way goes on
from its state. So a stage that is made of others, such as a race of trials, needs nothing of its
own to be gone on with, as long as it follows from what came of its parts.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class RunMemory:
    """Results of finished parts, and the states of those under way.

    Results and states are plain values and tensors.

    Args:
        saved: What `state_dict` returned in an earlier process.

    Attributes:
        beside: Called before each save, by whom there is something else to write then.
    """

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        saved = saved or {}
        self._results: dict[str, Any] = dict(saved.get("results", {}))
        self._saved: dict[str, Any] = dict(saved.get("under_way", {}))
        self._generators: Mapping[str, Any] | None = saved.get("generators")
        self._under_way: dict[str, Callable[[], Any]] = {}
        self.beside: Callable[[], None] | None = None

    def result(self, name: str) -> Any | None:
        """Return the result of a finished part, or None."""
        return self._results.get(name)

    def finish(self, name: str, result: Any) -> None:
        """Note the result of a part."""
        self._results[name] = result

    def forget(self, beginning: str) -> None:
        """Forget the parts whose name begins so: what they were parts of is finished."""
        for parts in (self._results, self._saved):
            for name in [name for name in parts if name.startswith(beginning)]:
                del parts[name]

    @contextmanager
    def under_way(self, name: str, state_dict: Callable[[], Any]) -> Iterator[Any | None]:
        """Say that a part is under way inside the block; give the state that it was left in.

        Args:
            name: Its name.
            state_dict: Returns its state now; called between two steps, never in one.
        """
        saved = self._saved.pop(name, None)
        if saved is not None and self._generators is not None:
            _set_generators(self._generators)
        self._under_way[name] = state_dict
        try:
            yield saved
        finally:
            del self._under_way[name]

    def states(self, beginning: str) -> list[Any]:
        """Return the states of the parts under way whose name begins so."""
        return [state() for name, state in self._under_way.items() if name.startswith(beginning)]

    def between_steps(self) -> None:
        """Be called between two steps, when every part under way is whole."""

    def waiting(self) -> None:
        """Be called often while nothing is stepped here: parts are looked at, or done elsewhere."""

    def save(self) -> None:
        """Be called when a stage is finished."""

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Say that the block calls `between_steps` often."""
        yield

    def state_dict(self) -> dict[str, Any]:
        """Return all of it; tensors of what is under way are those in use."""
        now = {name: state_dict() for name, state_dict in self._under_way.items()}
        return {
            "results": dict(self._results),
            "under_way": {**self._saved, **now},
            "generators": _generators(),
        }


def _generators() -> dict[str, Any]:
    """Return where the process's global generators are: plugins may draw from them."""
    found: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def _set_generators(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        for number, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, number)
