"""The affine that a NIfTI header means.

The sform is taken where it has a code, else the qform, as nibabel does; section "3D image
orientation and location in space" of nifti1.h has the three methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from medpipe_core.data import DataError
from medpipe_plugins.scans.geometry import displacement, shear, usable
from medpipe_plugins.scans.scan import spacing_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MILLIMETRES = {1: (1000.0, "metres"), 3: (0.001, "micrometres")}


def affine_of(
    path: Path, hdr: Any, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return the affine to RAS millimetres, and what is unusual about it.

    Raises:
        DataError: The header gives none that can be used, nor the size of a voxel.
    """
    notes = _mend_pixdim(hdr, shape)
    forms = {name: _form(hdr, name) for name in ("sform", "qform")}
    for name, form in forms.items():
        if form is None and _code(hdr, name) > 0:
            notes.append(f"its {name} has code {_code(hdr, name)} and cannot be used")
    sform, qform = forms["sform"], forms["qform"]
    affine = sform if sform is not None else qform
    if affine is None:
        affine = _base(path, hdr)
        notes.append(
            "orientation unknown: there is no usable sform or qform; axes were taken to run left, "
            "front and up, centred, as nibabel does"
        )
    elif sform is not None:
        notes += _disagreement(hdr, sform, qform, shape)
    if shear(affine) > 0.5:
        notes.append(
            f"its axes are sheared: they are up to {shear(affine):.1f} degrees off right angles"
        )
    return _in_millimetres(hdr, affine, notes), notes


def _mend_pixdim(hdr: Any, shape: tuple[int, int, int]) -> list[str]:
    """Put voxel sizes right that have one meaning all the same."""
    notes = []
    sizes = np.array(hdr["pixdim"][1:4], np.float64)
    if (sizes < 0).any():
        notes.append("pixdim has negative voxel sizes; their absolute values were taken")
    sizes = np.abs(sizes)
    for axis in range(3):
        if sizes[axis] == 0 and shape[axis] == 1:
            sizes[axis] = 1
    hdr["pixdim"][1:4] = sizes
    side = float(hdr["pixdim"][0])  # which way the third axis of the qform runs
    if side not in (-1, 1):
        hdr["pixdim"][0] = -1 if side < 0 else 1  # as nifti1.h has it; 0 is written by old tools
        if side and _code(hdr, "qform") > 0:
            notes.append(f"pixdim[0] is {side:g}, not 1 or -1; its sign alone was used")
    return notes


def _code(hdr: Any, name: str) -> int:
    return int(hdr[f"{name}_code"])


def _form(hdr: Any, name: str) -> NDArray[np.float64] | None:
    if _code(hdr, name) <= 0:
        return None
    try:
        affine = np.array(hdr.get_sform() if name == "sform" else hdr.get_qform(), np.float64)
    except (HeaderDataError, ValueError):  # no quaternion of length 1, negative sizes
        return None
    return affine if usable(affine) else None


def _base(path: Path, hdr: Any) -> NDArray[np.float64]:
    affine = np.array(hdr.get_base_affine(), np.float64)
    if not usable(affine):
        sizes = ", ".join(f"{size:g}" for size in hdr["pixdim"][1:4])
        raise DataError(
            f"{path}: has no usable sform or qform, and voxels of size {sizes}: how large the scan "
            "is cannot be known. Mend its header"
        )
    return affine


def _disagreement(
    hdr: Any,
    sform: NDArray[np.float64],
    qform: NDArray[np.float64] | None,
    shape: tuple[int, int, int],
) -> list[str]:
    notes = []
    if qform is not None:
        apart = displacement(sform, qform, shape)
        if apart > 0.05 * min(spacing_of(sform)):
            mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
            notes.append(
                f"sform (code {_code(hdr, 'sform')}) and qform (code {_code(hdr, 'qform')}) "
                f"disagree by up to {apart:.3g} mm{' and mirror each other' if mirrored else ''}; "
                "the sform was used"
            )
    sizes = np.array(hdr["pixdim"][1:4], np.float64)
    if not np.allclose(sizes, spacing_of(sform), rtol=0.01, atol=1e-4):
        said = ", ".join(f"{size:g}" for size in sizes)
        used = ", ".join(f"{size:g}" for size in spacing_of(sform))
        notes.append(f"pixdim says voxels of {said}, the sform of {used}; the sform was used")
    return notes


def _in_millimetres(hdr: Any, affine: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64]:
    factor, unit = _MILLIMETRES.get(int(hdr["xyzt_units"]) & 7, (1.0, ""))
    if not unit:
        return affine
    notes.append(f"lengths are in {unit}; they were turned into millimetres")
    return np.diag([factor, factor, factor, 1.0]) @ affine
