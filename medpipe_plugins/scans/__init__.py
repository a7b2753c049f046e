"""Medical scans as they come: read whole, in one orientation, with what was unusual in words."""

from medpipe_plugins.scans.reading import read_scan, scan_header
from medpipe_plugins.scans.scan import Scan, ScanHeader

__all__ = ["Scan", "ScanHeader", "read_scan", "scan_header"]
