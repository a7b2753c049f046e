"""Comparing finished runs: what each group of settings found, at what cost, and how surely."""

from medpipe_core.runner.comparison.content import compare
from medpipe_core.runner.comparison.files import write_comparison
from medpipe_core.runner.comparison.tables import comparison_text

__all__ = ["compare", "comparison_text", "write_comparison"]
