"""DICOM: a folder with one series or several, a multi-frame file, a single slice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medpipe_core.data import DataError
from medpipe_plugins.scans.dicom_contents import contents_notes
from medpipe_plugins.scans.dicom_files import find_dicom
from medpipe_plugins.scans.dicom_header import read_frames
from medpipe_plugins.scans.dicom_pixels import frames_of
from medpipe_plugins.scans.dicom_series import Series, choose, group
from medpipe_plugins.scans.dicom_stack import stack
from medpipe_plugins.scans.door import check_size, told
from medpipe_plugins.scans.geometry import place, usable
from medpipe_plugins.scans.scan import Scan, ScanHeader, value_notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from medpipe_plugins.scans.dicom_frame import Frame
    from medpipe_plugins.scans.dicom_stack import Stack
    from medpipe_plugins.scans.geometry import Placement


@dataclass(frozen=True, eq=False)
class _Plan:
    header: ScanHeader
    stack: Stack
    placement: Placement | None


def header(path: Path, *, series: str | int | None, volume: int | None) -> ScanHeader:
    """Return what the headers of all files of a series say; no pixel is read."""
    return _plan(path, series, volume).header


def read(path: Path, *, series: str | int | None, volume: int | None) -> Scan:
    """Read a scan, file by file."""
    plan = _plan(path, series, volume)
    if plan.placement is None:
        values = np.empty(plan.header.shape, np.float32)
        stored = values.transpose(2, 1, 0)
    else:
        values, stored = plan.placement.empty()
    _fill(path, stored, plan.stack)
    return Scan(values, plan.header, (*plan.header.notes, *value_notes(values)))


def series_of(path: Path) -> tuple[list[Series], list[str]]:
    """Return the series of a folder, and what was passed over."""
    found = find_dicom(path)
    frames: list[Frame] = []
    passed_over = [f"{file.name} {why}" for file, why in found.passed_over]
    for file in found.files:
        with told(file, "DICOM"):
            read = read_frames(file)
        if isinstance(read, str):
            passed_over.append(f"{file.name} {read}")
        else:
            frames += read
    return group(frames), passed_over


def _plan(path: Path, series: str | int | None, volume: int | None) -> _Plan:
    all_series, passed_over = series_of(path)
    if not all_series:
        what = _few(passed_over) or "nothing lies beside its table of contents, the DICOMDIR"
        raise DataError(f"{path}: holds no DICOM image: {what}")
    chosen = choose(path, all_series, series)
    _check_kind(path, chosen)
    slices = stack(path, chosen, volume)
    frames = [frames[0] for frames in slices.slots]
    file = frames[0].file
    _check_rescale(path, frames)
    check_size(path, (file.columns, file.rows, len(frames)))
    affine = slices.affine
    if affine is not None and not usable(affine):
        raise DataError(
            f"{path}: position, orientation and spacing of its slices do not fit together"
        )
    placement = None
    if affine is not None:
        placement = place((file.columns, file.rows, len(frames)), affine)
    notes = [*_file_notes(frames), *slices.notes]
    if passed_over:
        notes.append(f"passed over: {_few(passed_over)}")
    notes += contents_notes(path)
    if len(all_series) > 1:
        notes.append(f"one of {len(all_series)} series of its folder")
    known = ScanHeader(
        str(path),
        "DICOM",
        (len(frames), file.rows, file.columns) if placement is None else placement.shape,
        file.dtype,
        None if placement is None else placement.affine,
        file.modality,
        file.scanner,
        file.patient,
        chosen.name,
        tuple(notes),
    )
    return _Plan(known, slices, placement)


def _check_kind(path: Path, series: Series) -> None:
    """Refuse what is no stack of slices of one intensity each.

    Raises:
        DataError: It is colour, or a volume tiled into one image.
    """
    file = series.file
    if file.samples != 1 or file.photometric not in ("MONOCHROME1", "MONOCHROME2", ""):
        raise DataError(
            f"{path}: {file.path.name} is a colour image ({file.photometric}), not one intensity a "
            "voxel, as of a scan"
        )
    if "MOSAIC" in file.image_type:
        raise DataError(
            f"{path}: {file.path.name} is a mosaic: one image into which the slices of a volume "
            "are tiled. Convert it first, as dcm2niix does"
        )


def _check_rescale(path: Path, frames: Sequence[Frame]) -> None:
    """Refuse slices some of which are rescaled while others do not say how.

    Raises:
        DataError: There are such.
    """
    without = [frame for frame in frames if frame.rescale is None]
    if without and any(frame.rescale not in (None, (1.0, 0.0)) for frame in frames):
        raise DataError(
            f"{path}: {len(without)} of {len(frames)} slices state no RescaleSlope and "
            f"RescaleIntercept, such as {without[0].file.path.name}, and others do, so that their "
            "values are on two scales. Mend the headers, or take these slices out"
        )


def _file_notes(frames: Sequence[Frame]) -> list[str]:
    notes = list(dict.fromkeys(note for frame in frames for note in frame.file.notes))
    if frames[0].file.localizer:
        notes.append("a localizer, made for planning")
    return notes


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - 6
    return "; ".join(texts[:6]) + (f"; and {more} more" if more > 0 else "")


def _fill(path: Path, stored: NDArray[np.float32], slices: Stack) -> None:
    """Decode each file once, and put its frames in their places; doubles have to be the same."""
    places: dict[Path, dict[int, tuple[int, Frame]]] = {}
    for slot, frames in enumerate(slices.slots):
        for frame in frames:
            places.setdefault(frame.file.path, {})[frame.index] = (slot, frame)
    pixels_of: dict[int, bytes] = {}  # of places with doubles, a digest
    for file, wanted in places.items():
        with told(file, "DICOM"):
            for index, pixels in frames_of(file, {n: frame for n, (_, frame) in wanted.items()}):
                slot, frame = wanted[index]
                first = slices.slots[slot][0]
                if frame is first:
                    stored[:, :, slot] = pixels.T
                if len(slices.slots[slot]) > 1:
                    digest = hashlib.sha256(pixels.tobytes()).digest()
                    if pixels_of.setdefault(slot, digest) != digest:
                        names = ", ".join(f.file.path.name for f in slices.slots[slot])
                        raise DataError(
                            f"{path}: {names} say that they are the same slice, and have different "
                            "pixels"
                        )
