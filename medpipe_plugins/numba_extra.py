"""The extra `medpipe[fast]`: whether numba is there."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def has_numba() -> bool:
    """Say whether numba is installed."""
    return importlib.util.find_spec("numba") is not None
