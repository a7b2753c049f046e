"""Which runs are the same but for the seed, and what the groups are called."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from medpipe_core.config.errors import ConfigurationError
from medpipe_core.errors import did_you_mean
from medpipe_core.report.comparison.labels import OWNERS, differing, group_labels, key_of, told
from medpipe_core.report.comparison.records import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from medpipe_core.report.comparison.records import Run

# The preset is only where values came from: each of them is a setting of its own.
_NOT_SETTINGS = frozenset({"seed", "run.root", "preset", "data.fold"})
# Who ran the trials: their records are the same, whoever it was.
_EXECUTOR = "executor"
_DATASET = "dataset"
_NAMING = frozenset({_DATASET, *OWNERS})
_DIGEST = "space_digest"


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


def problems(
    runs: Sequence[Run], ignored: AbstractSet[str] = frozenset()
) -> tuple[list[Problem], list[LeftOut]]:
    """Sort runs by dataset and by all settings but seed, fold and those that are ignored.

    Of two runs with the same settings, seed and fold the later one by its folder's name is kept.

    Returns:
        The datasets, and the runs that another one replaces.

    Raises:
        ConfigurationError: What is to be ignored is a setting of no run, or one that never counts.
    """
    ignored = _matched(ignored, {key for run in runs for key in run.settings})
    settings = [_without(_settings(run), ignored) for run in runs]
    by_dataset: dict[str, list[tuple[dict[str, Any], Run]]] = {}
    for own, run in zip(settings, runs, strict=True):
        by_dataset.setdefault(key_of(_of_dataset(own)), []).append((own, run))
    labels = _dataset_labels([_of_dataset(held[0][0]) for held in by_dataset.values()])
    found, replaced = [], []
    for label, held in zip(labels, by_dataset.values(), strict=True):
        grouped, earlier = _grouped(held, ", but for what is ignored," if ignored else "")
        found.append(Problem(label, grouped))
        replaced += earlier
    return found, replaced


def mergers(groups: Sequence[Group]) -> list[tuple[str, int]]:
    """Return settings that alone keep groups apart which have no seed in common.

    Such as the genotype that each seed of a baseline takes from another run.

    Returns:
        Key, and how many groups would be one without it.
    """
    found = []
    for key in differing([group.settings for group in groups]):
        if key == _DIGEST or key in _NAMING:
            continue
        alike: dict[str, list[Group]] = {}
        for group in groups:
            rest = _without(group.settings, {key})
            alike.setdefault(key_of(rest), []).append(group)
        most = max(alike.values(), key=len)
        places = [place for group in most for place in group.places]
        if len(most) > 1 and len(places) == len(set(places)):
            found.append((key, len(most)))
    return found


def _matched(asked: AbstractSet[str], known: AbstractSet[str]) -> frozenset[str]:
    """Return the settings that are to be ignored, those that fit a pattern among them.

    Raises:
        ConfigurationError: Something fits none that could be.
    """
    found, wrong = set(), []
    for key in sorted(asked):
        if key in _NAMING:
            wrong.append(f"--ignore {key}: a comparison is of these; ignore settings of theirs")
            continue
        fitting = {one for one in known if fnmatchcase(one, key)}
        found |= {one for one in fitting if _is_setting(one) and one not in _NAMING}
        if not fitting:
            wrong.append(f"--ignore {key!r}: no run has this setting.{did_you_mean(key, known)}")
        elif not found & fitting:
            wrong.append(f"--ignore {key}: it makes no groups")
    if wrong:
        raise ConfigurationError(wrong)
    return frozenset(found)


def _settings(run: Run) -> dict[str, Any]:
    """Return what makes a group; null is as a key that is not there, which an older run lacks."""
    own = {k: value for k, value in run.settings.items() if _is_setting(k) and value is not None}
    if run.fold is None:
        own.pop("data.folds", None)
    return {**own, _DIGEST: run.result.space_digest}


def _is_setting(key: str) -> bool:
    return key not in _NOT_SETTINGS and key.partition(".")[0] != _EXECUTOR


def _grouped(
    held: Iterable[tuple[dict[str, Any], Run]], but: str
) -> tuple[tuple[Group, ...], list[LeftOut]]:
    groups: dict[str, tuple[dict[str, Any], dict[tuple[int, int], Run]]] = {}
    replaced = []
    for own, run in sorted(held, key=lambda pair: pair[1].folder.name):
        _, places = groups.setdefault(key_of(own), (own, {}))
        earlier = places.get(run.place)
        if earlier is not None:
            reason = f"{run.folder.name} has the same settings{but} and seed, and is later"
            replaced.append(LeftOut(earlier.folder, reason))
        places[run.place] = run
    labels = group_labels([own for own, _ in groups.values()])
    made = [
        Group(label, own, tuple(places[place] for place in sorted(places)))
        for label, (own, places) in zip(labels, groups.values(), strict=True)
    ]
    return tuple(sorted(made, key=lambda group: group.label)), replaced


def _without(settings: Mapping[str, Any], ignored: AbstractSet[str]) -> dict[str, Any]:
    """Return settings without some; where one is of the space, the space may be another too."""
    digest = {_DIGEST} if any(key.startswith("space.") for key in ignored) else set()
    return {key: value for key, value in settings.items() if key not in ignored | digest}


def _dataset_labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    labels = []
    for own in settings:
        alike = [other for other in settings if other.get(_DATASET) == own.get(_DATASET)]
        labels.append(" ".join([str(own.get(_DATASET)), *told(own, differing(alike))]))
    return labels


def _of_dataset(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k in (_DATASET, "data.folds") or _within(k)}


def _within(key: str) -> bool:
    return key.startswith(f"{_DATASET}.")
