"""The searchable magnitudes of table I, as grids of five values; torch-free.

The paper's row "Affine ratio" is the ratio of the erased box: only so does the number of
policies come out as 6.2e15.
"""

from __future__ import annotations

from medpipe_core import ValueChoice

_POINTS = 5
_DIGITS = 6  # of the decimals that a grid value is rounded to, so that its key reads as written


def closed(low: float, high: float) -> ValueChoice:
    """Return five evenly spaced values on [low, high]."""
    return _grid(low, (high - low) / (_POINTS - 1))


def open_left(low: float, high: float) -> ValueChoice:
    """Return five evenly spaced values on (low, high]."""
    step = (high - low) / _POINTS
    return _grid(low + step, step)


def _grid(first: float, step: float) -> ValueChoice:
    return ValueChoice(*(round(first + step * i, _DIGITS) for i in range(_POINTS)))


ROTATION_LEFT = closed(-30, 0)
ROTATION_RIGHT = closed(0, 30)
ERASE_SCALE_LEFT = open_left(0, 0.1)
ERASE_SCALE_RIGHT = open_left(0.1, 0.3)
ERASE_RATIO_LEFT = open_left(0, 1)
ERASE_RATIO_RIGHT = closed(0.3, 3)
AFFINE_LEFT = open_left(0, 1)
AFFINE_RIGHT = open_left(1, 3)
BLUR_KERNEL = ValueChoice(2, 3, 4)
INVERT_MAX_VALUE = ValueChoice(0.25, 0.5, 0.75, 1)
JITTER_BRIGHTNESS = ValueChoice(0.3, 0.5)
JITTER_CONTRAST = ValueChoice(0.5, 0.8)
