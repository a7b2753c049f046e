"""The order of slices whose files are numbered."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NUMBER = re.compile(r"(\d+)")


def in_order(folder: Path, files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return slices in the order of the one number that differs in their names, and notes.

    The number counts as one: `slice2` comes before `slice10`. Numbers that are not there are noted.

    Raises:
        DataError: Names differ in more than one number, so that there is no one order.
    """
    if len(files) == 1:
        return list(files), []
    parts = [_NUMBER.split(path.stem) for path in files]
    words = {tuple(part[::2]) for part in parts}
    if len(words) > 1:
        one, other = (next(p.name for p, q in zip(files, parts, strict=True) if tuple(q[::2]) == w)
                      for w in sorted(words)[:2])  # fmt: skip
        raise DataError(
            f"{folder}: names follow {len(words)} patterns, such as {one} and {other}, as if there "
            "were several scans, or masks beside the slices; put each scan in a folder of its own"
        )
    numbers = [[int(text) for text in part[1::2]] for part in parts]
    varying = [k for k in range(len(numbers[0])) if len({row[k] for row in numbers}) > 1]
    if len(varying) != 1:
        near = f"{files[0].name} and {files[-1].name}"
        what = "more than one number" if varying else "the zeros before a number alone"
        raise DataError(
            f"{folder}: names differ in {what} ({near}), so that the order of the slices cannot be "
            "known; let one number count them"
        )
    counted = sorted(zip((row[varying[0]] for row in numbers), files, strict=True))
    doubles = [b for a, b in itertools.pairwise(counted) if a[0] == b[0]]
    if doubles:
        raise DataError(f"{folder}: number {doubles[0][0]} is there twice, as {doubles[0][1].name}")
    return [path for _, path in counted], _gaps([number for number, _ in counted])


def _gaps(numbers: Sequence[int]) -> list[str]:
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    usual = min(steps)
    missing = sum(step // usual - 1 for step in steps)
    if not missing:
        return []
    place = next(a for a, step in zip(numbers, steps, strict=False) if step != usual)
    return [
        f"slices are missing: {missing} numbers between {numbers[0]} and {numbers[-1]} are not "
        f"there, such as {place + usual}"
    ]
