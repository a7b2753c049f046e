"""The classes of a set of scans: their names and order, and what is odd about them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medpipe_plugins.datasets.folder_manifest import Case

_BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")


def class_names(cases: Sequence[Case], order: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Return the names of the classes: in the order that was asked for, else sorted.

    Raises:
        DataError: What was asked for is not what there is.
    """
    names = {case.label for case in cases}
    if order is not None:
        if names - set(order):
            raise DataError(
                f"dataset.classes names {', '.join(order)}, but scans are of "
                f"{', '.join(sorted(names))}; name all of them, or leave the key out"
            )
        return order
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def spelt_alike(cases: Sequence[Case]) -> list[str]:
    """Return the classes that differ in spelling alone, with a scan each."""
    spelt: dict[str, dict[str, str]] = defaultdict(dict)
    for case in cases:
        spelt[_in_one_spelling(case.label)].setdefault(case.label, case.name)
    return [
        "these labels count as different classes, and are meant as one: "
        + ", ".join(f"{label!r} (such as {name})" for label, name in names.items())
        + "; spell them alike"
        for names in spelt.values()
        if len(names) > 1
    ]


def _in_one_spelling(label: str) -> str:
    """Return a label in the spelling that all have in common who mean the same."""
    text = _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFC", label).casefold())
    try:
        return repr(float(text)) if math.isfinite(float(text)) else text
    except ValueError:
        return text


def one_class(cases: Sequence[Case]) -> list[str]:
    """Return what is wrong where all scans are of one class."""
    names = {case.label for case in cases}
    said = f"all scans are of one class, {min(names)!r}: there is nothing to tell apart"
    return [said] if len(names) == 1 else []


def classes_missing(by_part: Mapping[str, Sequence[Case]], classes: Sequence[str]) -> list[str]:
    """Say which classes have no usable scan in a part, so that figures are not misread."""
    notes = []
    for part, cases in by_part.items():
        there = {case.label for case in cases}
        lacking = [repr(name) for name in classes if name not in there]
        if lacking:
            more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
            notes.append(f"No usable scan in {part} is of {', '.join(lacking[:10])}{more}.")
    return notes
