"""What people see of runs: progress, the closing summary, pages, curves and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.report.run_report import write_report

__all__ = ["write_report"]

__getattr__ = lazy_names(__name__, {"run_report": ("write_report",)})
