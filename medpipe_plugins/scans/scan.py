"""What a reader hands out: the header of a scan, and the scan itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ScanHeader:
    """What is known of a scan before its voxels are read.

    Attributes:
        path: The file or folder.
        format: In what it is stored, such as `"NIfTI-1"`.
        shape: Of the scan's values: right, front, up; or slice, row, column where `affine` is None;
            with the channels before these where there are several.
        dtype: In what a voxel is stored, as numpy writes it.
        affine: `(4, 4)`, float64, from voxel indices to millimetres that rise to the right, to the
            front and upwards (RAS); None where the file does not say.
        modality: Such as `"CT"`, empty where the file does not say.
        scanner: Manufacturer and model, likewise.
        patient: The patient's identifier as it stands in the file, likewise.
        series: Which series of the folder, or array of the file, it is.
        notes: What was unusual, a sentence each.
    """

    path: str
    format: str
    shape: tuple[int, ...]
    dtype: str
    affine: NDArray[np.float64] | None = None
    modality: str = ""
    scanner: str = ""
    patient: str = ""
    series: str = ""
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres from one voxel to the next along each axis; None where `affine` is."""
        return None if self.affine is None else spacing_of(self.affine)


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan.

    Attributes:
        values: float32. `(right, front, up)`: indices rise to the patient's right, to the front and
            upwards. Where no geometry is known, `(slice, row, column)` as stored. Several files as
            channels: the channels come first. In memory without gaps, the axes in the order in
            which the file has them: `numpy.ascontiguousarray` changes that.
        header: What the file says of it.
        notes: What was unusual of header and voxels, a sentence each.
    """

    values: NDArray[np.float32]
    header: ScanHeader
    notes: tuple[str, ...] = ()

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """From voxel indices to RAS millimetres, `(4, 4)`; None where no geometry is known."""
        return self.header.affine

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Millimetres between voxels along each axis; None where no geometry is known."""
        return self.header.spacing


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the lengths of an affine's axes."""
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))


def value_notes(values: NDArray[np.float32]) -> list[str]:
    """Return what is unusual about voxels: none that is finite, some that are not, only one value.

    Values are looked at a slab at a time, so that no copy of them is made.
    """
    odd, low, high = 0, np.inf, -np.inf
    as_in_memory = values.transpose(np.argsort([-step for step in values.strides], kind="stable"))
    for slab in as_in_memory.reshape(-1, *as_in_memory.shape[-2:]):
        ends = float(slab.min()), float(slab.max())
        if np.isfinite(ends).all():  # then all between them are
            low, high = min(low, ends[0]), max(high, ends[1])
            continue
        finite = np.isfinite(slab)
        odd += finite.size - int(np.count_nonzero(finite))
        low = min(low, float(slab.min(where=finite, initial=np.inf)))
        high = max(high, float(slab.max(where=finite, initial=-np.inf)))
    notes = []
    if odd:
        notes.append(f"{odd} of {values.size} voxels are NaN or infinite")
    if low == high:
        notes.append(f"blank: every voxel is {low:g}")
    return notes


def as_scan(found: Any, path: str, name: str) -> Scan:
    """Return what some reader handed out as a scan, checked.

    A reader of another package need not know this package: anything with `values`, and `affine`
    and `notes` where it has them, will do.

    Raises:
        TypeError: It has no values, or values, affine and the like do not fit.
    """
    if isinstance(found, Scan):
        return found
    values = np.ascontiguousarray(found.values, dtype=np.float32)
    return Scan(values, as_header(found, path, name, values.shape), _notes(found))


def as_header(found: Any, path: str, name: str, shape: tuple[int, ...] | None = None) -> ScanHeader:
    """Return what some reader handed out as a header, checked.

    Raises:
        TypeError: Shape or affine do not fit.
    """
    if isinstance(found, ScanHeader):
        return found
    shape = tuple(int(n) for n in (found.shape if shape is None else shape))
    if len(shape) not in (3, 4):
        raise TypeError(f"the reader {name!r} gives a scan of shape {shape}, not of three axes")
    affine = getattr(found, "affine", None)
    if affine is not None:
        affine = np.asarray(affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise TypeError(f"the reader {name!r} gives an affine of shape {affine.shape}")
    words = {
        word: str(getattr(found, word, "")) for word in ("modality", "scanner", "patient", "series")
    }
    dtype = str(getattr(found, "dtype", ""))
    return ScanHeader(path, name, shape, dtype, affine, notes=_notes(found), **words)


def _notes(found: Any) -> tuple[str, ...]:
    return tuple(str(note) for note in getattr(found, "notes", ()))
