"""Comparing finished runs: what each group of settings found, at what cost, and how surely."""

from medpipe_core.report.comparison.content import compare
from medpipe_core.report.comparison.files import write_comparison
from medpipe_core.report.comparison.tables import comparison_text, pooled_text

__all__ = ["compare", "comparison_text", "pooled_text", "write_comparison"]
