"""Stored numbers to values, once: slope × stored + intercept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT = 2**24  # whole numbers up to this are exact in float32


def rounds(stored: NDArray[Any], values: NDArray[np.float32]) -> bool:
    """Say whether float32 could not hold all whole numbers that were stored."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize <= 2:
        return False
    wide = np.longdouble if stored.dtype.itemsize == 8 else np.float64
    return bool((values.astype(wide) != stored.astype(wide)).any())


def rescaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """Return values as float64 has them, rounded to float32 once.

    Whole numbers that stay small are computed in float32, where they are exact too.
    """
    if stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        largest = 1 << (8 * stored.dtype.itemsize)
        if largest * abs(slope) + abs(intercept) <= _EXACT:
            values = stored.astype(np.float32)
            values *= np.float32(slope)
            values += np.float32(intercept)
            return values
    exact = stored * np.float64(slope)
    exact += np.float64(intercept)
    with np.errstate(all="ignore"):
        return exact.astype(np.float32)
