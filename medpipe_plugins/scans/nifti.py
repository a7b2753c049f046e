"""NIfTI-1 and NIfTI-2, single files and pairs, plain and gzipped.

Header fields are those of nifti1.h and nifti2.h; nibabel parses them. Voxels are streamed, so that
memory is that of the scan and a block, but for gzip files that are small enough to be inflated at
once; a gzip's checksum is always checked.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel import Nifti1Header, Nifti2Header

from medpipe_core.data import DataError
from medpipe_plugins.scans.door import (
    DEFLATE_RATIO,
    check_size,
    inflated,
    is_gzip,
    opened,
    read_exactly,
    rest,
    skip,
)
from medpipe_plugins.scans.geometry import place
from medpipe_plugins.scans.nifti_geometry import affine_of
from medpipe_plugins.scans.rescaling import rescaled, rounds
from medpipe_plugins.scans.scan import Scan, ScanHeader, value_notes
from medpipe_plugins.scans.sniffing import HEADER_SIZES, nifti_partner

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

    from medpipe_plugins.scans.geometry import Placement

_BLOCK = 4 << 20
_MOST_REST = 256 << 20
_CIFTI = range(3000, 3100)


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that reading the voxels takes."""

    header: ScanHeader
    path: Path
    offset: int
    stored: tuple[int, int, int]
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None
    placement: Placement
    volumes: int
    volume: int

    @property
    def bytes_of_volume(self) -> int:
        return math.prod(self.stored) * self.dtype.itemsize


def header(path: Path, *, volume: int | None = None) -> ScanHeader:
    """Return what the header says; no voxel is read."""
    return _plan(path, volume).header


def read(path: Path, *, volume: int | None = None) -> Scan:
    """Read a scan."""
    plan = _plan(path, volume)
    values, stored = plan.placement.empty()
    whole = inflated(plan.path, plan.offset + plan.volumes * plan.bytes_of_volume)
    with opened(plan.path) if whole is None else io.BytesIO(whole) as stream:
        skip(stream, plan.offset + plan.volume * plan.bytes_of_volume, plan.path)
        rounded = _fill(stored, stream, plan)
        skip(stream, (plan.volumes - plan.volume - 1) * plan.bytes_of_volume, plan.path)
        left = rest(stream, _MOST_REST)
    if left > _MOST_REST:
        raise DataError(f"{plan.path}: goes on far behind its image; the header cannot be right")
    notes = [*plan.header.notes]
    if left:
        notes.append(f"{left} bytes follow the image and were not used")
    if rounded:
        notes.append("whole numbers too large for float32 were rounded")
    return Scan(values, plan.header, (*notes, *value_notes(values)))


def _fill(stored: NDArray[np.float32], stream: IO[bytes], plan: _Plan) -> bool:
    """Fill values slice by slice; say whether a whole number lost digits by that."""
    size = plan.stored[0] * plan.stored[1]
    slices = max(1, _BLOCK // (size * plan.dtype.itemsize))
    rounded = False
    for start in range(0, plan.stored[2], slices):
        count = min(slices, plan.stored[2] - start)
        raw = read_exactly(stream, count * size * plan.dtype.itemsize, plan.path)
        block = np.frombuffer(raw, plan.dtype).reshape((*plan.stored[:2], count), order="F")
        if plan.scaling is not None:
            block = rescaled(block, *plan.scaling)
        with np.errstate(all="ignore"):
            stored[:, :, start : start + count] = block
            rounded = rounded or rounds(block, stored[:, :, start : start + count])
    return rounded


def _plan(path: Path, volume: int | None) -> _Plan:
    hdr, image, single = _parsed(path)
    notes = _name_notes(path)
    dtype = _dtype(path, hdr)
    shape, volumes = _shape(path, hdr)
    if volume is not None and not 0 <= volume < volumes:
        raise DataError(f"{path}: has {volumes} volumes, from 0 on; there is no volume {volume}")
    if volumes > 1 and volume is None:
        raise DataError(
            f"{path}: holds {volumes} volumes ({_times(_dims(hdr))}); name one with volume=0 to "
            f"volume={volumes - 1}"
        )
    check_size(path, shape)
    scaling, scaling_notes = _scaling(path, hdr)
    offset, offset_notes = _offset(path, hdr, single)
    _check_bytes(image, offset + math.prod(shape) * volumes * dtype.itemsize)
    affine, geometry_notes = affine_of(path, hdr, shape)
    placement = place(shape, affine)
    notes += [*scaling_notes, *offset_notes, *geometry_notes]
    if len(_dims(hdr)) < 3:
        notes.append("two-dimensional: read as a single slice")
    if volumes > 1:
        notes.append(f"volume {volume} of {volumes}")
    kind = "NIfTI-2" if int(hdr["sizeof_hdr"]) == HEADER_SIZES[1] else "NIfTI-1"
    known = ScanHeader(
        str(path),
        kind,
        placement.shape,
        str(dtype.newbyteorder("=")),
        placement.affine,
        notes=tuple(notes),
    )
    return _Plan(known, image, offset, shape, dtype, scaling, placement, volumes, volume or 0)


def _parsed(path: Path) -> tuple[Any, Path, bool]:
    """Return the header, the file with the voxels, and whether that is the header's own."""
    first = path
    if path.name.lower().endswith((".img", ".img.gz")):
        first = nifti_partner(path) or path
    with opened(first) as stream:
        raw = stream.read(HEADER_SIZES[1])
    sizes = {int.from_bytes(raw[:4], order) for order in ("little", "big")}
    size = HEADER_SIZES[1] if HEADER_SIZES[1] in sizes else HEADER_SIZES[0]
    if len(raw) < size:
        raise DataError(f"{path}: {len(raw)} bytes are too few for a NIfTI header of {size}")
    kind: Any = Nifti2Header if size == HEADER_SIZES[1] else Nifti1Header
    hdr = kind(raw[:size], check=False)
    magic = bytes(hdr["magic"].item())[:3]
    if magic in (b"n+1", b"n+2"):
        return hdr, first, True
    if magic not in (b"ni1", b"ni2"):
        raise DataError(
            f"{path}: no NIfTI file: its magic is {magic!r}. An Analyze file does not tell left "
            "from right; convert it where that is known"
        )
    image = nifti_partner(first)
    if image is None:
        raise DataError(
            f"{path}: is the header of a pair, and there is no image file of the same name beside "
            "it (.hdr and .img)"
        )
    return hdr, image, False


def _dims(hdr: Any) -> tuple[int, ...]:
    count = int(hdr["dim"][0])
    return tuple(int(n) for n in hdr["dim"][1 : count + 1]) if 1 <= count <= 7 else ()


def _times(numbers: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in numbers)


def _shape(path: Path, hdr: Any) -> tuple[tuple[int, int, int], int]:
    """Return the shape of a volume, and how many there are."""
    dims = _dims(hdr)
    if int(hdr["intent_code"]) in _CIFTI:
        raise DataError(f"{path}: holds a CIFTI matrix, not a volume")
    if not dims or min(dims) < 1:
        raise DataError(f"{path}: its header gives impossible sizes (dim {hdr['dim'].tolist()})")
    more = [n for n in dims[3:] if n > 1]
    if len(more) > 1:
        raise DataError(
            f"{path}: has {len(dims)} dimensions ({_times(dims)}); a scan has three, or four where "
            "there are several volumes. Take the part you mean, and save it"
        )
    x, y, z = (*dims[:3], 1, 1)[:3]
    return (x, y, z), math.prod(more)


def _dtype(path: Path, hdr: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = hdr.get_data_dtype()
    if dtype.kind in "iuf":
        return dtype
    what = "of no type that is known"
    if dtype.names:
        what = "colours, not intensities"
    if dtype.kind == "c":
        what = "complex numbers, not intensities"
    raise DataError(f"{path}: its voxels are {what}; save one real number each")


def _scaling(path: Path, hdr: Any) -> tuple[tuple[float, float] | None, list[str]]:
    """Return slope and intercept; None where values are as stored (a slope of 0 or no number)."""
    slope, inter = float(hdr["scl_slope"]), float(hdr["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        odd = not (slope == 0 and inter == 0)
        said = f"scl_slope is {slope:g}, scl_inter {inter:g}: values are as stored, not scaled"
        return None, [said] if odd else []
    if not math.isfinite(inter):
        raise DataError(f"{path}: scl_inter is {inter} while scl_slope is {slope:g}")
    return (None if (slope, inter) == (1, 0) else (slope, inter)), []


def _offset(path: Path, hdr: Any, single: bool) -> tuple[int, list[str]]:
    offset = float(hdr["vox_offset"])
    least = int(hdr["sizeof_hdr"]) + 4 if single else 0  # four bytes say if extensions follow
    if not math.isfinite(offset) or offset < 0 or offset != int(offset) or offset > 2**40:
        raise DataError(f"{path}: its voxels begin at byte {offset}, which cannot be")
    if single and offset < least:
        if offset:
            raise DataError(f"{path}: its voxels begin at byte {offset:g}, inside its header")
        return least, ["vox_offset is 0; the voxels were read behind the header"]
    return int(offset), []


def _check_bytes(image: Path, needed: int) -> None:
    """Refuse a file that is too short for what its header says, before memory is taken."""
    there = image.stat().st_size
    most = there * DEFLATE_RATIO if is_gzip(image) else there
    if needed > most:
        raise DataError(
            f"{image}: truncated, or its header is wrong: {needed} bytes are needed, and a file of "
            f"{there} bytes cannot hold them"
        )


def _name_notes(path: Path) -> list[str]:
    named = path.name.lower().endswith(".gz")
    if named == is_gzip(path):
        return []
    return [f"is {'not ' if named else ''}gzipped, in spite of its name"]
