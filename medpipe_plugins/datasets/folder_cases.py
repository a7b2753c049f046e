"""A case of a set of scans: its header and its voxels, whatever it is stored in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, read_slices, scan_header, slices_header

if TYPE_CHECKING:
    from medpipe_core import Registry
    from medpipe_plugins.datasets.folder_manifest import Case
    from medpipe_plugins.datasets.folder_scans import ScanDoor
    from medpipe_plugins.datasets.folder_settings import FolderSettings
    from medpipe_plugins.scans import Scan, ScanHeader


def read_case(case: Case, settings: FolderSettings | ScanDoor, registry: Registry) -> Scan:
    """Read the scan of a case.

    Raises:
        DataError: It cannot be read.
        MissingExtraError: A package that reads it is not installed.
    """
    if case.slices:
        return read_slices(case.paths[0], case.slices)
    return read_scan(
        case.paths if len(case.paths) > 1 else case.paths[0],
        series=settings.series,
        volume=settings.volume,
        registry=registry,
    )


def case_headers(
    case: Case, settings: FolderSettings, registry: Registry
) -> tuple[ScanHeader, ...]:
    """Return the header of each channel of a case; no voxel is read.

    Raises:
        DataError: One cannot be read, or channels have different shapes.
        MissingExtraError: A package that reads it is not installed.
    """
    if case.slices:
        return (slices_header(case.paths[0], case.slices),)
    found = tuple(
        scan_header(path, series=settings.series, volume=settings.volume, registry=registry)
        for path in case.paths
    )
    shapes = list(dict.fromkeys(header.shape for header in found))
    if len(shapes) > 1:
        raise DataError(f"its channels have different shapes: {', '.join(map(str, shapes))}")
    return found
