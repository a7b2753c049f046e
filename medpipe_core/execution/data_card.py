"""The data card of a run: what is in each part, what is in two, and which facts tell the label."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import (
    absent_classes,
    describe,
    facts_of,
    fingerprints,
    near_doubles,
    overlap,
    shared_patients,
)
from medpipe_core.data.facts import summary
from medpipe_core.errors import counted
from medpipe_core.record.journal import plain_fields
from medpipe_core.seeding import child_seed
from medpipe_core.train.shortcuts import ALL, ShortcutModels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from medpipe_core.data import DatasetCard, Development, LabelledVolumes

_EXAMPLES = 5
# Above so many volumes a part is not searched for near-doubles within itself.
_MOST_WITHIN = 3000
# A share of volumes that look like others above which this is no sign of doubles.
_ALIKE = 0.5


class DataCard:
    """The card, first without the test set and, once that is open, with it.

    Args:
        card: The dataset's own card.
        development: Training and validation data.
        seed: Seed of the run.
    """

    def __init__(self, card: DatasetCard, development: Development, *, seed: int) -> None:
        self._card = card
        self._seed = child_seed(seed, "data card")
        self._notes = development.notes
        self._parts = {"train": development.train, "validation": development.validation}
        self._prints = {name: fingerprints(data) for name, data in self._parts.items()}
        self._models = ShortcutModels(development.train, len(card.classes))

    def content(
        self,
        network: Mapping[str, Mapping[str, Any]] | None = None,
        test: LabelledVolumes | None = None,
    ) -> dict[str, Any]:
        """Return it as plain data, as `data_card.json` holds it.

        Args:
            network: Part → the network's own figures there, to stand beside those of the facts.
            test: The test set, once it is open.
        """
        parts, prints = dict(self._parts), dict(self._prints)
        if test is not None:
            parts["test"], prints["test"] = test, fingerprints(test)
        judged = {name: data for name, data in parts.items() if name != "train"}
        told = {name: self._models.judge(data, seed=self._seed) for name, data in judged.items()}
        content: dict[str, Any] = plain_fields(
            {
                "format": "medpipe-data-card-1",
                "card": self._card.to_dict(),
                "parts": {name: self._part(data, prints[name]) for name, data in parts.items()},
                "across": list(_across(parts, prints)),
                "shortcuts": [_shortcut(name, told) for name in self._models.names],
                "network": {
                    part: {name: figures.get(name) for name in ("auc", "accuracy")}
                    for part, figures in (network or {}).items()
                },
                "notes": [*self._notes, *groups_known_in_part(parts)],
            }
        )
        return content

    def _part(self, data: LabelledVolumes, prints: NDArray[np.uint8]) -> dict[str, Any]:
        classes, facts = self._card.classes, facts_of(data)
        near = None
        if len(data) <= _MOST_WITHIN:
            near = len({row for pair in near_doubles(prints) for row in pair[:2]})
        return {
            **describe(data, classes),
            "absent": absent_classes(data.labels, classes),
            "patients": None if data.groups is None else len(np.unique(data.groups)),
            "near_doubles": near,
            "shape": list(data.volumes.shape[1:]),
            "voxels": str(data.volumes.dtype),
            "facts": {name: summary(values) for name, values in facts.items()},
            "facts_by_class": {
                classes[label]: {
                    name: summary(values[data.labels == label]) for name, values in facts.items()
                }
                for label in np.unique(data.labels).tolist()
            },
        }


def card_notes(content: Mapping[str, Any]) -> Iterator[str]:
    """Say which facts are shortcuts, beside the network's own figure, and which volumes look alike.

    Args:
        content: What `DataCard.content` gave.
    """
    network = content["network"]
    for one in _telling(content["shortcuts"]):
        part = "test" if "test" in one else "validation"
        auc = one[part]["auc"]
        own = network.get(part, {}).get("auc")
        value = own.get("value") if isinstance(own, dict) else own
        beside = "" if value is None else f"; that of the network is {value:.3f}"
        fact = one["fact"]
        which = "All facts together predict" if fact == ALL else f"'{fact}' alone predicts"
        yield (
            f"Shortcut: {which} the class, without a look at the picture: area under the ROC curve "
            f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}) on the {part} set{beside}."
        )
    for pair in content["across"]:
        if pair["near"] > pair["identical"]:
            yield _likeness(pair, content["parts"][pair["parts"][1]]["count"])


def _likeness(pair: Mapping[str, Any], count: int) -> str:
    """Say how many of so many volumes of one part look like one of another.

    Where most do, that is how such volumes look, and says nothing of doubles.
    """
    (one, other), near = pair["parts"], pair["near"]
    if near > _ALIKE * count:
        return (
            f"{near} of {count} volumes of the {other} set look like one of the {one} set: volumes "
            f"of this kind are too much alike for near-doubles to stand out; {pair['identical']} "
            "are identical."
        )
    first, second, _ = pair["examples"][-1]
    look = "look" if near > 1 else "looks"
    return (
        f"{counted(near, 'volume')} of the {other} set {look} like one of the {one} set, such as "
        f"{second} like {first}."
    )


def _telling(shortcuts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the shortcuts that are worth a line: each fact, or all together where none is."""
    found = [one for one in shortcuts if one["shortcut"]]
    single = [one for one in found if one["fact"] != ALL]
    return single or found


def groups_known_in_part(parts: Mapping[str, LabelledVolumes]) -> Iterator[str]:
    """Say where patients are named in some parts only."""
    known = [name for name, data in parts.items() if data.groups is not None]
    unknown = [name for name in parts if name not in known]
    if known and unknown:
        yield (
            f"Patients are named in {' and '.join(known)}, but not in {' and '.join(unknown)}: "
            "whether one is in both cannot be known, and intervals there count every volume as a "
            "patient."
        )


def _across(
    parts: Mapping[str, LabelledVolumes], prints: Mapping[str, NDArray[np.uint8]]
) -> Iterator[dict[str, Any]]:
    """Say of each two parts what is in both."""
    for one, other in itertools.combinations(parts, 2):
        pairs = list(near_doubles(prints[one], prints[other]))
        examples = sorted(pairs, key=lambda pair: pair[2])[:_EXAMPLES]
        yield {
            "parts": [one, other],
            "identical": overlap(parts[one], parts[other]),
            "near": len({column for _, column, _ in pairs}),
            "examples": [
                [_name(parts[one], one, row), _name(parts[other], other, column), distance]
                for row, column, distance in examples
            ],
            "patients": shared_patients(parts[one], parts[other]),
        }


def _name(data: LabelledVolumes, part: str, row: int) -> str:
    return f"{part}-{row:05}" if data.cases is None else str(data.cases[row])


def _shortcut(name: str, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    judged = {part: dict(found[name]) for part, found in told.items()}
    surely = [one.pop("shortcut") for one in judged.values()]
    return {"fact": name, **judged, "shortcut": any(surely)}
