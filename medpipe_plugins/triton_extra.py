"""Whether Triton, which CUDA builds of torch bring along on Linux, is there and works."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from typing import Any

import torch

_LOG = logging.getLogger(__name__)

# The environment variable that switches kernels off where it is "0".
SWITCH = "MEDPIPE_TRITON"


@functools.cache
def has_triton() -> bool:
    """Say whether kernels for a GPU can be used; where Triton does not work, note why, once.

    That it is installed says little: it needs a C compiler to launch what it has compiled, and a
    GPU that is not too old. It is tried the first time it is asked for, which takes a second.
    `MEDPIPE_TRITON=0` switches it off; this is read once in a process, before anything is tried.
    """
    if os.environ.get(SWITCH, "") == "0" or importlib.util.find_spec("triton") is None:
        return False
    why = _what_is_wrong()
    if why:
        _LOG.warning(
            "Triton is installed and not used: %s. torch's own operators are used instead, which "
            "are slower; %s=0 spares the attempt",
            why,
            SWITCH,
        )
    return not why


def _what_is_wrong() -> str:
    """Return why Triton cannot be used, or an empty text."""
    try:
        import triton

        if torch.cuda.is_available():
            compiled: Any = triton.jit(_nothing)
            compiled[(1,)]()
    except Exception as error:  # whatever a broken installation raises
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _nothing() -> None:
    """Do nothing, on a GPU."""
