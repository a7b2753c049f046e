"""The extra `medpipe[fast]`: whether numba is there and compiles."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings


@functools.cache
def has_numba() -> bool:
    """Say whether numba can be used: it is installed, can be imported, and its compiler is on.

    Where it is installed and cannot be imported, as with a numpy that is too new for it, a warning
    says so, once.
    """
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        numba = importlib.import_module("numba")
    except Exception as error:
        warnings.warn(
            f"numba is installed and cannot be imported ({type(error).__name__}: {error}); "
            "torch's own operators are used, which are slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return not numba.config.DISABLE_JIT
