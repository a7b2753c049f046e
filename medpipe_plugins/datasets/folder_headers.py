"""What headers and files say of scans: facts that might give the class away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from medpipe_plugins.datasets.folder_manifest import Case
    from medpipe_plugins.scans import ScanHeader


def file_facts(
    cases: Sequence[Case], headers: Sequence[tuple[ScanHeader, ...]]
) -> dict[str, NDArray[Any]]:
    """Return facts of scans, name → `(count,)`; NaN or an empty text where one is not known.

    Slices are counted along the axis that runs up, or that of the files where none is known to.
    """
    first = [found[0] for found in headers]
    slices, rows, columns = zip(*map(_grid, first), strict=True) if first else ((), (), ())
    between, within = zip(*map(_distances, first), strict=True) if first else ((), ())
    numbers = {
        "slices": slices,
        "rows": rows,
        "columns": columns,
        "slice distance (mm)": between,
        "pixel size (mm)": within,
        "files": [sum(map(len, map(_files, case.paths, _names(case)))) for case in cases],
        "bytes": [sum(map(_size, case.paths, _names(case))) for case in cases],
    }
    texts = {
        "format": [header.format for header in first],
        "stored type": [header.dtype for header in first],
        "modality": [header.modality for header in first],
        "scanner": [header.scanner for header in first],
    }
    return {
        **{name: np.array(values, np.float64) for name, values in numbers.items()},
        **{name: np.array(values, np.str_) for name, values in texts.items()},
    }


def _grid(header: ScanHeader) -> tuple[int, int, int]:
    """Return slices, rows and columns."""
    one, two, three = header.shape[-3:]
    return (one, two, three) if header.affine is None else (three, two, one)


def _distances(header: ScanHeader) -> tuple[float, float]:
    spacing = header.spacing
    return (float("nan"),) * 2 if spacing is None else (spacing[2], spacing[0])


def _names(case: Case) -> Sequence[Sequence[str]]:
    return [case.slices] * len(case.paths)


def _files(path: Path, names: Sequence[str]) -> list[Path]:
    if names:
        return [path / name for name in names]
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _size(path: Path, names: Sequence[str]) -> float:
    try:
        return float(sum(file.stat().st_size for file in _files(path, names)))
    except OSError:
        return float("nan")
