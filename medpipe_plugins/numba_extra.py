"""The extra `medpipe[fast]`: whether numba is there and works."""

from __future__ import annotations

import functools
import importlib.util
import logging
from typing import Any

_LOG = logging.getLogger(__name__)


@functools.cache
def has_numba() -> bool:
    """Say whether numba compiles; where it is installed and does not, note why, once.

    That it is installed says little: a version for another numpy is and cannot be imported, and its
    compiler can be switched off.
    """
    if importlib.util.find_spec("numba") is None:
        return False
    why = _what_is_wrong()
    if why:
        _LOG.warning(
            "numba (the extra medpipe[fast]) is installed and not used: %s. torch's own operators "
            "are used instead, which are slower",
            why,
        )
    return not why


def _what_is_wrong() -> str:
    """Return why numba cannot be used, or an empty text."""
    try:
        import llvmlite.binding  # noqa: F401 - what is compiled uses it
        import numba
        import numba.extending

        if getattr(numba.config, "DISABLE_JIT", 0):
            return "its compiler is switched off (NUMBA_DISABLE_JIT)"
        compiled: Any = numba.njit(_next)
        compiled(0)
    except Exception as error:  # whatever a broken installation raises
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _next(number: int) -> int:
    return number + 1
