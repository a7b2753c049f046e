"""Which slices of a folder belong together, and which of several series is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medpipe_plugins.scans.dicom_frame import FileHeader, Frame

_MOST_LISTED = 20


@dataclass(frozen=True)
class Series:
    """Slices of one series, size and orientation: what may be one volume.

    Attributes:
        name: Names it: its UID, with `/1`, `/2` … where slices of one UID do not fit together.
        frames: Its slices, in no order.
    """

    name: str
    frames: tuple[Frame, ...]

    @property
    def file(self) -> FileHeader:
        """The header of one of its files."""
        return self.frames[0].file

    @property
    def voxels(self) -> int:
        """How many it has."""
        return len(self.frames) * self.file.rows * self.file.columns

    def __str__(self) -> str:
        """It in words, for a list."""
        file = self.file
        words = [file.modality, file.description, f"{len(self.frames)} slices"]
        words.append(f"of {file.rows} × {file.columns}")
        words += ["localizer"] if file.localizer else []
        number = "" if file.number is None else f", number {file.number}"
        said = " ".join(word for word in words if word)
        return f"{self.name}{number} ({said}; {file.path.name})"


def group(frames: Sequence[Frame]) -> list[Series]:
    """Return the slices by series; one UID is several where sizes or directions differ."""
    by_uid: dict[tuple[str, ...], list[list[Frame]]] = {}
    for frame in frames:
        file = frame.file
        key: tuple[str, ...] = (file.series, file.patient, file.frame_of_reference)
        groups = by_uid.setdefault(key, [])
        fitting = next((g for g in groups if _fits(g[0], frame)), None)
        if fitting is None:
            groups.append([frame])
        else:
            fitting.append(frame)
    counts: dict[str, int] = {}
    for key, groups in by_uid.items():
        counts[key[0]] = counts.get(key[0], 0) + len(groups)
    series, numbered = [], dict.fromkeys(counts, 0)
    for key, groups in by_uid.items():
        for members in groups:
            numbered[key[0]] += 1
            uid = key[0] or "no UID"
            name = uid if counts[key[0]] == 1 else f"{uid}/{numbered[key[0]]}"
            series.append(Series(name, tuple(members)))
    return series


def choose(path: Path, all_series: Sequence[Series], asked: str | int | None) -> Series:
    """Return the series that is meant.

    Args:
        path: Of the folder, for messages.
        all_series: What is there.
        asked: Its name or UID, `"largest"`, its number, or None where there is only one.

    Raises:
        DataError: There are several, and which is meant does not follow; or there is none such.
    """
    if asked is None or asked == "":
        found = list(all_series)
        text = f"holds {len(found)} series; name one with series=UID, series=NUMBER or "
        text += "series='largest'"
    elif asked == "largest":
        scans = [one for one in all_series if not one.file.localizer] or list(all_series)
        most = max(one.voxels for one in scans)
        found = [one for one in scans if one.voxels == most]
        text = f"holds {len(found)} series that are equally large; name one"
    else:
        found = [one for one in all_series if _is(one, asked)]
        text = f"holds {len(found)} series {asked!r}; name one as it is listed here"
        text = text if found else f"holds no series {asked!r}"
        listed = found or list(all_series)
        if len(found) != 1:
            raise DataError(f"{path}: {text}: {_listed(listed)}")
    if len(found) != 1:
        raise DataError(f"{path}: {text}: {_listed(found)}")
    return found[0]


def _is(series: Series, asked: str | int) -> bool:
    text = str(asked).strip()
    if text in (series.name, series.file.series):
        return True
    return text.isdecimal() and series.file.number == int(text)


def _listed(series: Sequence[Series]) -> str:
    shown = "; ".join(str(one) for one in series[:_MOST_LISTED])
    more = len(series) - _MOST_LISTED
    return shown + (f"; and {more} more" if more > 0 else "")


def _fits(one: Frame, other: Frame) -> bool:
    """Say whether two slices may lie in one volume, whatever their positions."""
    if (one.file.rows, one.file.columns, one.file.samples) != (
        other.file.rows,
        other.file.columns,
        other.file.samples,
    ):
        return False
    if one.file.localizer != other.file.localizer or one.file.photometric != other.file.photometric:
        return False
    return _near(one.orientation, other.orientation, 5e-3) and _near(
        one.spacing, other.spacing, 1e-3
    )


def _near(one: tuple[float, ...] | None, other: tuple[float, ...] | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance))
