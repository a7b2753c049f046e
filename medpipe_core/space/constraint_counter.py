"""Counting how far constraints are used up: which keys count, and what is still allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.space.choices import named_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.constraints import Limit

Counts = tuple[int, ...]
"""A number for each limit: how many choices were counted, as far as that still matters."""


class ConstraintCounter:
    """The arithmetic of some limits over the choices of a space.

    Args:
        limits: What is counted.
        choices: Every choice of the space by path.
        space: The space's name, for errors.

    Attributes:
        none: Nothing counted.
        all: For each limit the number of choices that it is about.

    Raises:
        SpaceError: A pattern matches no choice, or no matched choice has a key.
    """

    def __init__(self, limits: Sequence[Limit], choices: Mapping[str, Choice], space: str) -> None:
        self.limits = tuple(limits)
        self.none: Counts = (0,) * len(self.limits)
        self._caps = tuple(
            limit.at_least if limit.at_most is None else limit.at_most for limit in self.limits
        )
        self._paths = [_matched(limit, choices, space) for limit in self.limits]
        self.all: Counts = tuple(map(len, self._paths))
        self._about: dict[str, Counts] = {}
        self._hits: dict[tuple[str, str], Counts] = {}
        for number, matched in enumerate(self._paths):
            for path, keys in matched.items():
                self._about[path] = _raised(self._about.get(path, self.none), number)
                for key in keys:
                    before = self._hits.get((path, key), self.none)
                    self._hits[path, key] = _raised(before, number)

    def about(self, path: str) -> Counts:
        """Return 1 for each limit that a choice belongs to."""
        return self._about.get(path, self.none)

    def hit(self, path: str, key: str) -> Counts | None:
        """Return 1 for each limit that counts this key of a choice; None where one is too many."""
        counts = self._hits.get((path, key), self.none)
        if any(c and limit.at_most == 0 for c, limit in zip(counts, self.limits, strict=True)):
            return None
        return counts

    def add(self, one: Counts, other: Counts) -> Counts | None:
        """Return the sum, as far as it matters; None where it is above a limit."""
        if not any(other):
            return one
        total = []
        for a, b, cap, limit in zip(one, other, self._caps, self.limits, strict=True):
            count = a + b
            if count > cap:
                if limit.at_most is not None:
                    return None
                count = cap
            total.append(count)
        return tuple(total)

    def settle(self, counts: Counts, seen: Counts) -> Counts | None:
        """Forget the numbers of limits whose choices were all seen; None where one is too low.

        What is forgotten becomes the lowest allowed number, so that states that differed in it
        are one from here on.
        """
        settled = list(counts)
        for number, limit in enumerate(self.limits):
            if seen[number] == self.all[number]:
                if counts[number] < limit.at_least:
                    return None
                settled[number] = limit.at_least
        return tuple(settled)

    def fulfilled(self, counts: Counts) -> bool:
        """Say whether final numbers are high enough."""
        return all(
            count >= limit.at_least for count, limit in zip(counts, self.limits, strict=True)
        )

    def admits(self, chosen: Mapping[str, str]) -> bool:
        """Say whether a complete set of choices keeps every limit."""
        return next(self._broken(chosen), None) is None

    def problems(self, chosen: Mapping[str, str]) -> list[str]:
        """Return in words which limits a complete set of choices breaks."""
        found = []
        for limit, hits in self._broken(chosen):
            shown = ", ".join(f"{path} = {chosen[path]}" for path in hits[:10])
            more = f" and {len(hits) - 10} more" if len(hits) > 10 else ""
            found.append(
                f"the constraint '{limit}' is broken: found {len(hits)}"
                + (f", {shown}{more}" if hits else "")
            )
        return found

    def _broken(self, chosen: Mapping[str, str]) -> Iterator[tuple[Limit, list[str]]]:
        for limit, matched in zip(self.limits, self._paths, strict=True):
            hits = [path for path, keys in matched.items() if chosen.get(path) in keys]
            if len(hits) < limit.at_least or (
                limit.at_most is not None and len(hits) > limit.at_most
            ):
                yield limit, hits


def _matched(limit: Limit, choices: Mapping[str, Choice], space: str) -> dict[str, frozenset[str]]:
    """Return the paths that a limit is about, each with the keys that count."""
    found: dict[str, frozenset[str]] = {}
    for pattern, keys in limit.keys.items():
        who = f"space {space!r}, constraint '{limit}'"
        for path in named_paths(pattern, keys, choices, who):
            own = {key for key in keys if key in choices[path].keys}
            found[path] = found.get(path, frozenset()) | own
    return found


def _raised(counts: Counts, number: int) -> Counts:
    return (*counts[:number], 1, *counts[number + 1 :])
