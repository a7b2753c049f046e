"""Choices that are known to be good, by name: where a search may begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.space.choices import named_paths
from medpipe_core.space.sharing import join
from medpipe_core.space.values import value_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medpipe_core.space.choices import Choice
    from medpipe_core.space.values import Value

Known = FrozenMapping[str, FrozenMapping[str, str]]
"""Name → path → key; choices that are not named are open."""


def checked_known(
    known: Mapping[str, Mapping[str, Value]], choices: Mapping[str, Choice], space: str
) -> Known:
    """Return what is known of a space, its patterns replaced by paths and its values by keys.

    Args:
        known: Name → path or pattern → key, or the value it stands for; of those that match a path
            the last counts.
        choices: Those of the space.
        space: Its name, for errors.

    Raises:
        SpaceError: A path or key is not there.
    """
    found: dict[str, FrozenMapping[str, str]] = {}
    for name, given in known.items():
        decided: dict[str, str] = {}
        for pattern, value in given.items():
            key, who = value_key(value), f"space {space!r}, known {name!r}"
            for path in named_paths(pattern, (), choices, who):
                named_paths(path, [key], choices, who)  # each of them must have it
                decided[path] = key
        found[name] = FrozenMapping(decided)
    return FrozenMapping(found)


def known_within(known: Known, choices: Mapping[str, Choice]) -> Known:
    """Return what is still there of it where a space has lost keys or paths."""

    def there(path: str, key: str) -> bool:
        return path in choices and key in choices[path].keys

    kept = {name: one for name, one in known.items() if all(there(*item) for item in one.items())}
    return FrozenMapping(kept)


def known_below(known: Known, part: str) -> dict[str, dict[str, str]]:
    """Return it with the paths that it has where its space is a part of another."""
    return {
        name: {join(part, path): key for path, key in one.items()} for name, one in known.items()
    }


def known_of_part(known: Known, part: str) -> dict[str, dict[str, str]]:
    """Return what is about a part alone, with the paths that it has there."""
    found = {
        name: {
            path.removeprefix(part).removeprefix("/"): key
            for path, key in one.items()
            if path == part or path.startswith(f"{part}/")
        }
        for name, one in known.items()
    }
    return {name: one for name, one in found.items() if one}
