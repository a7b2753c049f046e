"""The searchable magnitudes of table I, as grids of five values; torch-free.

The paper's row "Affine ratio" is the ratio of the erased box: only so does the number of
policies come out as 6.2e15.
"""

from __future__ import annotations

from medpipe_core import ValueChoice

_DIGITS = 6  # of the decimals that a grid value is rounded to, so that its key reads as written


def grid_closed(low: float, high: float, points: int = 5) -> ValueChoice:
    """Return evenly spaced values on [low, high], both ends among them."""
    return _grid(low, (high - low) / (points - 1), points)


def grid_open_left(low: float, high: float, points: int = 5) -> ValueChoice:
    """Return evenly spaced values on (low, high], the upper end among them."""
    step = (high - low) / points
    return _grid(low + step, step, points)


def _grid(first: float, step: float, points: int) -> ValueChoice:
    return ValueChoice(*(round(first + step * i, _DIGITS) for i in range(points)))


ROTATION_LEFT = grid_closed(-30, 0)
ROTATION_RIGHT = grid_closed(0, 30)
ERASE_SCALE_LEFT = grid_open_left(0, 0.1)
ERASE_SCALE_RIGHT = grid_open_left(0.1, 0.3)
ERASE_RATIO_LEFT = grid_open_left(0, 1)
ERASE_RATIO_RIGHT = grid_closed(0.3, 3)
AFFINE_LEFT = grid_open_left(0, 1)
AFFINE_RIGHT = grid_open_left(1, 3)
BLUR_KERNEL = ValueChoice(2, 3, 4)
INVERT_MAX_VALUE = ValueChoice(0.25, 0.5, 0.75, 1)
JITTER_BRIGHTNESS = ValueChoice(0.3, 0.5)
JITTER_CONTRAST = ValueChoice(0.5, 0.8)
