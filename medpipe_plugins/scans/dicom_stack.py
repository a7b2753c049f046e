"""The slices of a series in their places: order, step, gaps, doubles, tilt.

Slices are ordered by their position along the normal of their plane (PS3.3 C.7.6.2.1.1), never by
name or number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import DataError
from medpipe_plugins.scans.geometry import shear

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from medpipe_plugins.scans.dicom_frame import Frame
    from medpipe_plugins.scans.dicom_series import Series

_UNEVEN = 0.05  # of a step; scanners round positions to far less
_WORTH_A_WORD = 0.01
_SAME_PLACE = 1e-3  # millimetres
_SAME_PLACE_OF_PIXEL = 0.02  # of a pixel; what is written again for another time moves by less


@dataclass
class Stack:
    """Slices in order.

    Attributes:
        slots: For each place the slice that is used, followed by doubles of it.
        affine: From column, row, slice to RAS millimetres; None where the files do not say.
        notes: What is unusual.
    """

    slots: list[list[Frame]]
    affine: NDArray[np.float64] | None
    notes: list[str] = field(default_factory=list)


def stack(path: Path, series: Series, volume: int | None) -> Stack:
    """Put the slices of a series in order.

    Raises:
        DataError: They do not make a volume, or make several and none is named.
    """
    frames = series.frames
    placed = [frame.position is not None and frame.orientation is not None for frame in frames]
    if not all(placed):
        return _unplaced(path, frames, placed, volume)
    positions = np.array([frame.position for frame in frames])
    row, column = _directions(frames[0])
    along = positions @ np.cross(row, column)
    order = np.argsort(along, kind="stable")
    near = max(_SAME_PLACE, _SAME_PLACE_OF_PIXEL * min(frames[0].spacing or (0.0,)))
    places = _places([frames[i] for i in order], along[order], near)
    slots, notes = _one_volume(path, places, volume)
    step, more = _step(path, slots)
    notes += more
    spacing = frames[0].spacing
    if spacing is None:
        notes.append(
            "PixelSpacing is not stated: geometry unknown, slices are in order of position"
        )
        return Stack(slots, None, notes)
    if step is None:
        thickness = slots[0][0].thickness or 1.0
        step = np.cross(row, column) * thickness
        notes.append(
            f"a single slice: its depth of {thickness:g} mm is "
            f"{'its thickness' if slots[0][0].thickness else 'assumed'}, not a measured distance"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.stack((row * spacing[1], column * spacing[0], step), axis=1)
    affine[:3, 3] = slots[0][0].position
    affine[:2] *= -1  # from LPS to RAS
    notes += _tilt(path, affine)
    return Stack(slots, affine, notes)


def _directions(frame: Frame) -> NDArray[np.float64]:
    return np.reshape(np.array(frame.orientation, np.float64), (2, 3))


def _unplaced(
    path: Path, frames: Sequence[Frame], placed: Sequence[bool], volume: int | None
) -> Stack:
    """Return slices whose place is not stated: one file alone has an order of its own."""
    without = next(f for f, known in zip(frames, placed, strict=True) if not known)
    if any(placed):
        raise DataError(
            f"{path}: the place of {placed.count(False)} of {len(placed)} slices is not stated, "
            f"such as that of {without.file.path.name}"
        )
    if len({frame.file.path for frame in frames}) > 1:
        raise DataError(
            f"{path}: {len(frames)} slices do not state their place (ImagePositionPatient, "
            f"ImageOrientationPatient), such as {without.file.path.name}, so that their order "
            "cannot be known"
        )
    if volume not in (None, 0):
        raise DataError(f"{path}: holds one volume; there is no volume {volume}")
    slots = [[frame] for frame in sorted(frames, key=lambda frame: frame.index)]
    said = "position and orientation are not stated: geometry unknown, frames are as stored"
    return Stack(slots, None, [said, *(["a single slice"] if len(slots) == 1 else [])])


def _places(frames: Sequence[Frame], along: NDArray[np.float64], near: float) -> list[list[Frame]]:
    """Return ordered slices by place; what is as near as `near` is one."""
    places: list[list[Frame]] = []
    start = -np.inf
    for frame, distance in zip(frames, along, strict=True):
        if distance - start > near:
            places.append([])
            start = distance
        places[-1].append(frame)
    return places


def _one_volume(
    path: Path, places: list[list[Frame]], volume: int | None
) -> tuple[list[list[Frame]], list[str]]:
    """Return one slice for each place with its doubles."""
    notes = []
    distinct = []
    for place in places:
        by_uid: dict[str, list[Frame]] = {}
        for frame in sorted(place, key=lambda frame: frame.order):
            by_uid.setdefault(frame.uid, []).append(frame)
        distinct.append(list(by_uid.values()))
    doubles = sum(len(frames) - 1 for place in distinct for frames in place)
    if doubles:
        again = next(f[1] for place in distinct for f in place if len(f) > 1)
        notes.append(
            f"{doubles} slices are there twice, such as {again.file.path.name}; each was used once"
        )
    counts = {len(place) for place in distinct}
    if len(counts) > 1:
        often = Counter(len(place) for place in distinct).most_common(1)[0][0]
        odd = next(place for place in distinct if len(place) != often)
        names = ", ".join(frames[0].file.path.name for frames in odd[:6])
        raise DataError(
            f"{path}: places have {min(counts)} to {max(counts)} different slices; such as the "
            f"place of {names}. Slices are missing, or belong to another series"
        )
    count = counts.pop()
    if volume is not None and not 0 <= volume < count:
        raise DataError(f"{path}: has {count} volumes, from 0 on; there is no volume {volume}")
    if count > 1 and volume is None:
        names = ", ".join(frames[0].file.path.name for frames in distinct[0][:4])
        raise DataError(
            f"{path}: {count} different slices lie at each of {len(distinct)} places (such as "
            f"{names}), as in a series over time or of several echoes: that is no one volume. Name "
            f"one with volume=0 to volume={count - 1}"
        )
    if count > 1:
        notes.append(f"volume {volume} of {count}, by time, echo and acquisition")
    return [place[volume or 0] for place in distinct], notes


def _step(
    path: Path, slots: Sequence[Sequence[Frame]]
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Return the way from one slice to the next; None for a single slice.

    Raises:
        DataError: Slices are not evenly spaced, or do not lie in one line.
    """
    if len(slots) == 1:
        return None, []
    positions = np.array([frames[0].position for frames in slots])
    row, column = _directions(slots[0][0])
    gaps = np.diff(positions @ np.cross(row, column))
    usual = float(np.median(gaps))
    # Rounding moves the median, a gap the mean; what is far from both is a gap.
    uneven = np.minimum(np.abs(gaps - usual), np.abs(gaps - gaps.mean()))
    worst = int(uneven.argmax())
    if uneven[worst] > _UNEVEN * usual:
        names = [slots[worst + k][0].file.path.name for k in (0, 1)]
        missing = round(float(gaps[worst]) / usual) - 1
        guess = f": probably {missing} slices are missing" if missing > 0 else ""
        raise DataError(
            f"{path}: slices are not evenly spaced: {gaps[worst]:.4g} mm between {names[0]} and "
            f"{names[1]}, {usual:.4g} mm elsewhere{guess}. Without them it is no volume"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    length = float(np.linalg.norm(step))
    aside = positions - positions[0] - np.arange(len(positions))[:, None] * step
    drift = float(np.linalg.norm(aside, axis=1).max())
    if drift > max(0.5 * usual, 1.0):
        raise DataError(
            f"{path}: slices do not lie in one line: they are up to {drift:.3g} mm beside it, as "
            "if the patient or the table had moved"
        )
    notes = []
    if max(uneven[worst], drift) > _WORTH_A_WORD * usual:
        notes.append(
            f"slices are not quite evenly spaced: by up to {uneven[worst]:.3g} mm of {usual:.4g}, "
            f"and {drift:.3g} mm beside an even grid"
        )
    apart = [abs(frames[0].apart) for frames in slots if frames[0].apart]
    if apart and min(abs(apart[0] - usual), abs(apart[0] - length)) > _UNEVEN * usual:
        notes.append(
            f"SpacingBetweenSlices says {apart[0]:.4g} mm, and positions are {usual:.4g} mm apart, "
            "which were used"
        )
    return step, notes


def _tilt(path: Path, affine: NDArray[np.float64]) -> list[str]:
    angle = shear(affine)
    if angle > 60:
        raise DataError(
            f"{path}: slices follow each other at {angle:.0f} degrees to their normal: no volume"
        )
    if angle > 0.5:
        return [
            f"sheared by {angle:.1f} degrees, as by a tilted gantry: the affine keeps the shear, "
            "so its axes are not at right angles"
        ]
    return []
