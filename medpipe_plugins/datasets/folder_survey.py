"""A look at all scans of a set before any is read: headers, labels, patients, and the split."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core import MissingExtraError, child_seed
from medpipe_core.data import DataError, cross_validated, split
from medpipe_plugins.datasets.folder_cases import case_headers
from medpipe_plugins.datasets.folder_classes import (
    class_names,
    classes_missing,
    one_class,
    spelt_alike,
)
from medpipe_plugins.datasets.folder_copies import place_of, with_copies, without_copies
from medpipe_plugins.datasets.folder_manifest import NO_VALUE, PARTS, Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from medpipe_core import Registry
    from medpipe_plugins.datasets.folder_settings import FolderSettings
    from medpipe_plugins.scans import ScanHeader

Problem = tuple[str, str]
"""The name of a scan, and what is wrong with it."""
_SHOWN = 40


@dataclass(frozen=True)
class Survey:
    """What is known of a set before a scan of it is read.

    Attributes:
        cases: Part → its usable scans.
        classes: Names of the classes.
        problems: What is wrong with scans that are left out.
        largest: Voxels of the largest scan.
        notes: What else a reader of results should know.
        headers: Name of a scan → the headers of its files.
    """

    cases: Mapping[str, tuple[Case, ...]]
    classes: tuple[str, ...]
    problems: tuple[Problem, ...]
    largest: int
    notes: tuple[str, ...]
    headers: Mapping[str, tuple[ScanHeader, ...]]


def survey(
    cases: Sequence[Case], settings: FolderSettings, registry: Registry, *, published: bool = False
) -> Survey:
    """Look at the headers of all scans, and give each a part.

    Args:
        cases: All of them.
        settings: How they are read and split.
        registry: Who knows readers.
        published: Others have figures of these scans, so copies among them are told and stay.

    Raises:
        DataError: The set cannot be used as it is; all that is wrong is told.
        MissingExtraError: A package that reads scans is not installed.
    """
    labelled, problems, notes = _labelled(cases)
    if published:
        labelled, copy_notes = with_copies(labelled, registry)
    else:
        labelled, copied, copy_notes = without_copies(labelled, registry)
        problems += copied
    notes += copy_notes
    if not labelled:
        raise DataError(f"no usable scan is left\n{table(problems)}")
    headers: dict[Case, tuple[ScanHeader, ...]] = {}
    for case in labelled:
        try:
            headers[case] = case_headers(case, settings, registry)
        except MissingExtraError:
            raise
        except DataError as error:
            problems.append((case.name, str(error)))
    problems += _other_channels(headers)
    notes += _modalities(headers)
    wrong = {name for name, _ in problems}
    named = _with_patients(labelled, headers, notes)
    fatal = [
        *one_class(named),
        *patients_in_two_parts(named),
        *_parts_missing(named),
        *spelt_alike(named),
    ]
    if fatal:
        raise DataError("; ".join(fatal) + (f"\n{table(problems)}" if problems else ""))
    if settings.fold is not None:
        named = _fold(named, settings, notes)
    parted = named if named[0].part else _split(named, settings)
    if parted and not any(case.part == "validation" for case in parted):
        parted = _with_validation(parted, settings)
        notes.append("The manifest names no validation scans: some of train were split off.")
    usable = [case for case in parted if case.name not in wrong]
    empty = [part for part in PARTS if not any(case.part == part for case in usable)]
    if empty:
        told = f"\n{table(problems)}" if problems else ""
        raise DataError(
            f"no usable scan is left for {' and '.join(empty)}. Paths of a manifest are relative "
            f"to data.root, or to itself{told}"
        )
    by_part = {part: tuple(c for c in usable if c.part == part) for part in PARTS}
    sizes = [math.prod(h.shape) for found in headers.values() for h in found]
    largest = max(sizes, default=0)
    classes = class_names(named, settings.classes)
    notes += classes_missing(by_part, classes)
    of_case = {case.name: found for case, found in headers.items()}
    return Survey(by_part, classes, tuple(problems), largest, tuple(notes), of_case)


def table(problems: Sequence[Problem]) -> str:
    """Return problems as a table, a file a line; of many the first."""
    width = min(max(len(name) for name, _ in problems), 48)
    lines = [f"  {name:<{width}}  {' '.join(what.split())}" for name, what in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  … and {len(problems) - _SHOWN} more")
    return "\n".join(lines)


def patients_in_two_parts(cases: Sequence[Case]) -> list[str]:
    """Return what is wrong with patients that are in more than one part, with their names."""
    parts: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.patient and case.part:
            parts[case.patient].add(case.part)
    both = [
        f"{patient} ({', '.join(part for part in PARTS if part in found)})"
        for patient, found in parts.items()
        if len(found) > 1
    ]
    if not both:
        return []
    more = f" and {len(both) - 10} more" if len(both) > 10 else ""
    return [
        f"patients are in more than one part, so that figures would be too good: "
        f"{', '.join(both[:10])}{more}; put each into one"
    ]


def _modalities(headers: Mapping[Case, tuple[ScanHeader, ...]]) -> list[str]:
    """Say which modalities a set has, if files tell of several."""
    found = Counter("+".join(header.modality for header in one) for one in headers.values())
    told = [f"{count} {name}" for name, count in found.most_common() if name.strip("+")]
    if len(told) < 2:
        return []
    return [f"Modalities are mixed: {', '.join(told)}; one preparation seldom fits all of them."]


def _labelled(cases: Sequence[Case]) -> tuple[list[Case], list[Problem], list[str]]:
    """Return the scans with a class, each once; those without; and what else is to be noted.

    Raises:
        DataError: One file has two classes.
    """
    problems: list[Problem] = []
    first: dict[tuple[str, ...], Case] = {}
    contradicting = []
    for case in cases:
        place = (*map(place_of, case.paths), *case.slices)
        if not case.label:
            problems.append((case.name, "has no label"))
        elif case.label.lower() in NO_VALUE:
            said = f"has no label: {case.label!r} stands for none; call a class otherwise"
            problems.append((case.name, said))
        elif place not in first:
            first[place] = case
        elif _contradicts(first[place], case):
            contradicting.append(
                f"{case.name} is named twice: as {_words(first[place])} and as {_words(case)}"
            )
    if contradicting:
        raise DataError("; ".join(contradicting))
    if not first:
        raise DataError(f"no scan has a label\n{table(problems)}")
    doubles = len(cases) - len(problems) - len(first)
    notes = [f"{doubles} lines name a scan again, which counts once."] if doubles else []
    unread = list(dict.fromkeys(name for case in cases for name in case.unread))
    if unread:
        notes.append(f"Columns that are not read: {', '.join(unread[:12])}.")
    return list(first.values()), problems, notes


def _contradicts(one: Case, other: Case) -> bool:
    patients = {one.patient, other.patient} - {""}
    return (one.label, one.part) != (other.label, other.part) or len(patients) > 1


def _words(case: Case) -> str:
    of = f" of patient {case.patient!r}" if case.patient else ""
    return f"{case.label!r}{of} in {case.part}" if case.part else f"{case.label!r}{of}"


def _other_channels(headers: Mapping[Case, tuple[ScanHeader, ...]]) -> list[Problem]:
    """Return the scans whose number of channels is not that of most."""
    counts = {case: _channels(found) for case, found in headers.items()}
    if not counts:
        return []
    usual = Counter(counts.values()).most_common(1)[0][0]
    return [
        (case.name, f"has {count} channels, and most scans have {usual}")
        for case, count in counts.items()
        if count != usual
    ]


def _channels(headers: tuple[ScanHeader, ...]) -> int:
    first = headers[0].shape
    return len(headers) if len(headers) > 1 else (first[0] if len(first) == 4 else 1)


def _with_patients(
    cases: Sequence[Case], headers: Mapping[Case, tuple[ScanHeader, ...]], notes: list[str]
) -> list[Case]:
    """Return scans with their patients: as the manifest has them, else as their files do."""
    if any(case.patient for case in cases):
        lacking = sum(not case.patient for case in cases)
        if lacking:
            notes.append(f"{lacking} scans without a patient count as a patient each.")
        return [case if case.patient else replace(case, patient=case.name) for case in cases]
    found = {case: headers[case][0].patient for case in cases if case in headers}
    if all(found.values()) and len(set(found.values())) > 1:
        notes.append(
            f"Patients are those of the files' headers: {len(set(found.values()))} of "
            f"{len(found)} scans."
        )
        return [replace(case, patient=found.get(case, case.name)) for case in cases]
    notes.append("No patients are named: every scan counts as a patient of its own.")
    return list(cases)


def _parts_missing(cases: Sequence[Case]) -> list[str]:
    given = {case.part for case in cases}
    if given == {""}:
        return []
    problems = []
    without = [case.name for case in cases if not case.part]
    if without:
        problems.append(
            f"{len(without)} scans have no split while others have, such as {without[0]}; give "
            "all of them one, or none"
        )
    problems += [f"no scan has split={part}" for part in ("train", "test") if part not in given]
    return problems


def _split(cases: Sequence[Case], settings: FolderSettings) -> list[Case]:
    patients = len({case.patient or case.name for case in cases})
    if patients < len(PARTS):
        raise DataError(
            f"{len(cases)} scans of {patients} patients are too few: training, validation and test "
            "need a patient each"
        )
    test, rest = _two(cases, settings.test, child_seed(settings.seed, "folder", "test"))
    share = settings.validation / (1 - settings.test)
    validation, train = _two(rest, share, child_seed(settings.seed, "folder", "validation"))
    parts = {
        case.name: part
        for part, found in zip(PARTS, (train, validation, test), strict=True)
        for case in found
    }
    return [replace(case, part=parts[case.name]) for case in cases]


def _fold(cases: Sequence[Case], settings: FolderSettings, notes: list[str]) -> list[Case]:
    """Return cases with their parts in cross-validation; those that are named as test stay out."""
    others = [case for case in cases if case.part != "test"]
    if len(others) < len(cases):
        notes.append(
            f"{len(cases) - len(others)} scans that are named as test stay closed: folds are of "
            "the others."
        )
    labels, groups = _arrays(others)
    parts = cross_validated(
        labels,
        groups,
        fold=settings.fold or 0,
        folds=settings.folds,
        validation=settings.validation,
        seed=child_seed(settings.seed, "folder", "folds"),
    )
    found = {others[i].name: part for part, positions in parts.items() for i in positions}
    return [replace(case, part=found[case.name]) for case in others]


def _arrays(cases: Sequence[Case]) -> tuple[NDArray[np.int64], NDArray[np.str_] | None]:
    """Return the label and the patient of each case."""
    classes = class_names(cases)
    patients = [case.patient for case in cases]
    labels = np.array([classes.index(case.label) for case in cases])
    return labels, np.array(patients) if all(patients) else None


def _with_validation(cases: Sequence[Case], settings: FolderSettings) -> list[Case]:
    seed = child_seed(settings.seed, "folder", "validation")
    share = settings.validation / (1 - settings.test)
    chosen, _ = _two([case for case in cases if case.part == "train"], share, seed)
    names = {case.name for case in chosen}
    return [replace(c, part="validation") if c.name in names else c for c in cases]


def _two(cases: Sequence[Case], share: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Split off a share, stratified by class, every patient on one side."""
    labels, groups = _arrays(cases)
    one, other = split(labels, groups, share=share, seed=seed)
    return [cases[i] for i in one], [cases[i] for i in other]
