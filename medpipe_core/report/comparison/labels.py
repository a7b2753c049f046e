"""Short names for groups of runs: as few settings as tell them apart."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from medpipe_core.config import yaml_values
from medpipe_core.record.journal import plain_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OWNERS = ("searcher", "space")
"""Keys below these are settings of their member, and are compared where the member is the same."""

_MISSING = "a key that is not there"
_WIDTH = 40


def key_of(value: Any) -> str:
    """Return a value as a text that equal values share."""
    return json.dumps(plain_fields(value), sort_keys=True)


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same everywhere; missing is a value too.

    Settings of a searcher or space are compared only among those that have the same one.
    """
    found = _unequal(settings)
    for owner in OWNERS:
        if owner in found:
            members: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            for own in settings:
                members[key_of(own.get(owner))].append(own)
            within = {key for alike in members.values() for key in _unequal(alike)}
            found = [key for key in found if not key.startswith(f"{owner}.") or key in within]
    return found


def group_labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name groups by their searcher, and by what tells apart those that have the same.

    Of several settings that would, the one that tells the most apart is taken, of these one that
    all have, and of these the shortest.
    """
    words = [[str(own.get("searcher"))] for own in settings]
    alike: dict[str, list[int]] = defaultdict(list)
    for row, (searcher,) in enumerate(words):
        alike[searcher].append(row)
    for rows in alike.values():
        _tell_apart(rows, settings, words)
    return [" ".join(parts) for parts in words]


def told(settings: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Return the settings of some keys as on a command line, those that are there."""
    return [f"{key}={yaml_values.write(settings[key])}" for key in keys if key in settings]


def shown(value: Any) -> str:
    """Return a value as a table shows it: of a long path the end, of others the start."""
    text = yaml_values.write(value)
    if len(text) <= _WIDTH:
        return text
    if isinstance(value, str) and "/" in value:
        return f"…{text[1 - _WIDTH :]}"
    return f"{text[: _WIDTH - 1]}…"


def _unequal(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for own in settings for key in own)
    return [k for k in keys if len({key_of(own.get(k, _MISSING)) for own in settings}) > 1]


def _tell_apart(
    rows: Sequence[int], settings: Sequence[Mapping[str, Any]], words: list[list[str]]
) -> None:
    """Add words to rows that have the same, until none do."""
    if len(rows) < 2:
        return
    here = [settings[row] for row in rows]

    def worth(key: str) -> tuple[int, bool, int]:
        values = [shown(own[key]) if key in own else _MISSING for own in here]
        there = all(key in own for own in here)
        return len(set(values)), there, -len(key) - max(map(len, values))

    best = max(differing(here), key=worth)
    if worth(best)[0] < 2:  # they differ in what a table does not show of a value
        for number, row in enumerate(rows, 1):
            words[row].append(f"({number})")
        return
    apart: dict[str, list[int]] = defaultdict(list)
    for row, own in zip(rows, here, strict=True):
        text = shown(own[best]) if best in own else _MISSING
        apart[text].append(row)
        if best in own:
            words[row].append(f"{best.removeprefix('searcher.').removeprefix('space.')}={text}")
    for alike in apart.values():
        _tell_apart(alike, settings, words)
