"""Which runs are the same but for the seed, and what the groups are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medpipe_core.config import yaml_values
from medpipe_core.record.journal import plain_fields
from medpipe_core.report.comparison.records import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from medpipe_core.report.comparison.records import Run

# The preset is only where values came from: each of them is a setting of its own.
_NOT_SETTINGS = frozenset({"seed", "run.root", "preset", "data.fold"})
# Who ran the trials: their records are the same, whoever it was.
_EXECUTOR = "executor"
_DATASET = "dataset"
# Groups of keys that are compared only where the member they belong to is the same.
_OWNERS = ("searcher", "space")
_MISSING = "a key that is not there"


@dataclass(frozen=True)
class Group:
    """Runs that differ by seed and fold alone, in their order; none comes twice.

    Attributes:
        label: What it is called beside the other groups of its dataset.
        settings: Every setting.
        runs: Its runs.
    """

    label: str
    settings: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, each once."""
        return tuple(dict.fromkeys(run.result.seed for run in self.runs))

    @property
    def places(self) -> set[tuple[int, int]]:
        """Seeds and folds of the runs."""
        return {run.place for run in self.runs}


@dataclass(frozen=True)
class Problem:
    """A dataset with its settings, and the groups of runs on it."""

    label: str
    groups: tuple[Group, ...]


def problems(runs: Sequence[Run]) -> tuple[list[Problem], list[LeftOut]]:
    """Sort runs by dataset and by all settings but seed and fold.

    Of two runs with the same settings, seed and fold the later one by its folder's name is kept.

    Returns:
        The datasets, and the runs that another one replaces.
    """
    settings = [_settings(run) for run in runs]
    by_dataset: dict[str, list[tuple[dict[str, Any], Run]]] = {}
    for own, run in zip(settings, runs, strict=True):
        by_dataset.setdefault(_key(_of_dataset(own)), []).append((own, run))
    labels = _dataset_labels([_of_dataset(held[0][0]) for held in by_dataset.values()])
    found, replaced = [], []
    for label, held in zip(labels, by_dataset.values(), strict=True):
        grouped, earlier = _grouped(held)
        found.append(Problem(label, grouped))
        replaced += earlier
    return found, replaced


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same everywhere; missing is a value too."""
    keys = dict.fromkeys(key for own in settings for key in own)
    return [k for k in keys if len({_key(own.get(k, _MISSING)) for own in settings}) > 1]


def _settings(run: Run) -> dict[str, Any]:
    own = {key: value for key, value in run.settings.items() if _is_setting(key)}
    if run.fold is None:
        own.pop("data.folds", None)
    return {**own, "space_digest": run.result.space_digest}


def _is_setting(key: str) -> bool:
    return key not in _NOT_SETTINGS and key.partition(".")[0] != _EXECUTOR


def _grouped(held: Iterable[tuple[dict[str, Any], Run]]) -> tuple[tuple[Group, ...], list[LeftOut]]:
    groups: dict[str, tuple[dict[str, Any], dict[tuple[int, int], Run]]] = {}
    replaced = []
    for own, run in sorted(held, key=lambda pair: pair[1].folder.name):
        _, places = groups.setdefault(_key(own), (own, {}))
        earlier = places.get(run.place)
        if earlier is not None:
            reason = f"{run.folder.name} has the same settings and seed, and is later"
            replaced.append(LeftOut(earlier.folder, reason))
        places[run.place] = run
    labels = _group_labels([own for own, _ in groups.values()])
    made = [
        Group(label, own, tuple(places[place] for place in sorted(places)))
        for label, (own, places) in zip(labels, groups.values(), strict=True)
    ]
    return tuple(sorted(made, key=lambda group: group.label)), replaced


def _group_labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name groups by their searcher and by whatever else is not the same in all of them."""
    everywhere = [k for k in differing(settings) if k not in _OWNERS and not _owner(k)]
    labels = []
    for own in settings:
        parts = [str(own.get("searcher"))]
        if "space" in differing(settings):
            parts.append(f"space={own.get('space')}")
        for owner in _OWNERS:
            alike = [other for other in settings if other.get(owner) == own.get(owner)]
            keys = [key for key in differing(alike) if _owner(key) == owner]
            parts += [text.removeprefix(f"{owner}.") for text in _told(own, keys)]
        labels.append(" ".join([*parts, *_told(own, everywhere)]))
    return labels


def _dataset_labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    labels = []
    for own in settings:
        alike = [other for other in settings if other.get(_DATASET) == own.get(_DATASET)]
        labels.append(" ".join([str(own.get(_DATASET)), *_told(own, differing(alike))]))
    return labels


def _of_dataset(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k in (_DATASET, "data.folds") or _within(k)}


def _within(key: str) -> bool:
    return key.startswith(f"{_DATASET}.")


def _owner(key: str) -> str:
    """Return the group whose member a key belongs to, or the empty text."""
    owner, dot, _ = key.partition(".")
    return owner if dot and owner in _OWNERS else ""


def _told(settings: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    return [f"{key}={yaml_values.write(settings[key])}" for key in keys if key in settings]


def _key(value: Any) -> str:
    return json.dumps(plain_fields(value), sort_keys=True)
