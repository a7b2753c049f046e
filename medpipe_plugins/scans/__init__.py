"""Medical scans as they come: read whole, in one orientation, with what was unusual in words."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medpipe_plugins.scans.reading import (
        read_scan,
        read_slices,
        scan_files,
        scan_header,
        slices_header,
    )
    from medpipe_plugins.scans.scan import Scan, ScanHeader

__all__ = [
    "Scan",
    "ScanHeader",
    "read_scan",
    "read_slices",
    "scan_files",
    "scan_header",
    "slices_header",
]

# The readers' settings lie in this package and are told without numpy.
_MODULE_OF = {
    "Scan": "scan",
    "ScanHeader": "scan",
    "read_scan": "reading",
    "read_slices": "reading",
    "scan_files": "reading",
    "scan_header": "reading",
    "slices_header": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'medpipe_plugins.scans' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medpipe_plugins.scans.{_MODULE_OF[name]}"), name)
