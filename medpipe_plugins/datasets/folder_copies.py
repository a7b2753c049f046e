"""Scans that are there more than once: by another path, by the other half of a pair, as a copy."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from medpipe_core.data import DataError
from medpipe_plugins.scans import scan_files
from medpipe_plugins.scans.sniffing import nifti_partner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from pathlib import Path

    from medpipe_core import Registry
    from medpipe_plugins.datasets.folder_manifest import Case

_BLOCK = 2**12
# Where copies are in several parts, the first of these that has one keeps it.
_KEPT = ("test", "validation", "train", "")
_SHOWN = 5


def place_of(path: Path) -> str:
    """Return where a path leads, so that no scan counts twice by two names.

    Links are followed, and of a pair the header stands for both.
    """
    if path.name.lower().endswith((".img", ".img.gz")):
        path = nifti_partner(path) or path
    try:
        return os.path.realpath(path)
    except ValueError:  # a zero in it; reading says so
        return str(path)


def without_copies(
    cases: Sequence[Case], registry: Registry
) -> tuple[list[Case], list[tuple[str, str]], list[str]]:
    """Return scans without those whose files are another's, byte for byte.

    Of copies with one label and part the first stays, which a note tells. One in another part than
    its copy would make figures too good: that of the test set stays, or of validation, and the
    other is a problem; with other labels both are.

    Returns:
        Scans that stay, what is wrong with others (name, words), and notes.
    """
    apart: dict[str, str] = {}
    again: dict[str, str] = {}
    for same in _copies(cases, registry):
        if len({case.label for case in same}) > 1:
            for case in same:
                other = next(one for one in same if one.label != case.label)
                apart[case.name] = (
                    f"is {other.name}, byte for byte, and is {case.label!r} where that is "
                    f"{other.label!r}"
                )
            continue
        first = min(same, key=lambda case: _KEPT.index(case.part))
        for case in same:
            if case.part != first.part:
                apart[case.name] = f"is {first.name}, byte for byte, which is in {first.part}"
            elif case is not first:
                again[case.name] = first.name
    left = [case for case in cases if case.name not in apart and case.name not in again]
    return left, list(apart.items()), _told(again, "which count once")


def with_copies(cases: Sequence[Case], registry: Registry) -> tuple[list[Case], list[str]]:
    """Return the scans of a published set, all of which stay, and notes of copies among them.

    Figures are compared with those of others only while the set is the published one. Where the
    split is still to be made, copies count to one patient, so that one part has them.
    """
    again: dict[str, str] = {}
    same_as: dict[str, str] = {}

    def patient_of(case: Case) -> str:
        found = case.patient
        while found in same_as:
            found = same_as[found]
        return found

    for first, *others in _copies(cases, registry):
        for case in others:
            apart = case.part != first.part
            again[case.name] = (
                f"{first.name} ({first.part}, not {case.part})" if apart else first.name
            )
            one, other = patient_of(first), patient_of(case)
            if one and other and one != other and not case.part:
                same_as[other] = one
    kept = [replace(case, patient=patient_of(case)) for case in cases]
    return kept, _told(again, "which stay, as the set is published with them")


def _told(copies: dict[str, str], what: str) -> list[str]:
    if not copies:
        return []
    shown = [f"{name} of {other}" for name, other in list(copies.items())[:_SHOWN]]
    more = f", and {len(copies) - _SHOWN} more" if len(copies) > _SHOWN else ""
    return [f"{len(copies)} scans are copies, byte for byte, {what}: {', '.join(shown)}{more}."]


def _copies(cases: Sequence[Case], registry: Registry) -> Iterator[list[Case]]:
    """Iterate over groups of scans of the same content.

    Whole files are read only where sizes and a few blocks are the same.
    """
    files: dict[str, list[Path]] = {}
    for case in cases:
        if case.slices:
            files[case.name] = [case.paths[0] / name for name in case.slices]
            continue
        try:
            files[case.name] = [f for p in case.paths for f in scan_files(p, registry=registry)]
        except DataError:  # what is wrong with it is told when its header is read
            continue
    groups = [[case for case in cases if case.name in files]]
    looks: tuple[Callable[[list[Path]], Hashable], ...] = (_sizes, _blocks, _digests)
    for look in looks:
        groups = [alike for group in groups for alike in _alike(group, files, look)]
    yield from groups


def _alike(
    group: Sequence[Case], files: dict[str, list[Path]], look: Callable[[list[Path]], Hashable]
) -> Iterator[list[Case]]:
    found: dict[Hashable, list[Case]] = defaultdict(list)
    for case in group:
        try:
            found[look(files[case.name])].append(case)
        except OSError:
            continue
    return (alike for alike in found.values() if len(alike) > 1)


def _sizes(files: list[Path]) -> Hashable:
    return tuple(file.stat().st_size for file in files)


def _blocks(files: list[Path]) -> Hashable:
    """Return a block from the start, the middle and the end of the middle file."""
    with files[len(files) // 2].open("rb") as stream:
        length = stream.seek(0, os.SEEK_END)
        found = []
        for start in (0, length // 2, length - _BLOCK):
            stream.seek(max(start, 0))
            found.append(stream.read(_BLOCK))
    return tuple(found)


def _digests(files: list[Path]) -> Hashable:
    found = []
    for file in files:
        with file.open("rb") as stream:
            found.append(hashlib.file_digest(stream, "sha256").digest())
    return tuple(found)
