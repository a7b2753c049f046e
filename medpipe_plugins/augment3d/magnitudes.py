"""The searchable magnitudes of table I, as grids of five values; torch-free.

The paper's row "Affine ratio" is the ratio of the erased box: only so does the number of
policies come out as 6.2e15.
"""

from __future__ import annotations

from typing import Any

from medpipe_core import ValueChoice

_DIGITS = 6  # of the decimals that a grid value is rounded to, so that its key reads as written


def grid_closed(low: float, high: float, points: int = 5, **declared: Any) -> ValueChoice:
    """Return evenly spaced values on [low, high], both ends among them.

    Args:
        low: The first value.
        high: The last.
        points: How many there are.
        declared: Bounds, unit and description, as `ValueChoice` takes them.
    """
    return _grid(low, (high - low) / (points - 1), points, declared)


def grid_open_left(low: float, high: float, points: int = 5, **declared: Any) -> ValueChoice:
    """Return evenly spaced values on (low, high], the upper end among them; otherwise alike."""
    step = (high - low) / points
    return _grid(low + step, step, points, declared)


def _grid(first: float, step: float, points: int, declared: dict[str, Any]) -> ValueChoice:
    return ValueChoice(*(round(first + step * i, _DIGITS) for i in range(points)), **declared)


ROTATION_LEFT = grid_closed(-30, 0, unit="degrees", description="one bound of the angle")
ROTATION_RIGHT = grid_closed(0, 30, unit="degrees", description="the other")
ERASE_SCALE_LEFT = grid_open_left(0, 0.1, gt=0, description="one bound of the box's share")
ERASE_SCALE_RIGHT = grid_open_left(0.1, 0.3, gt=0, description="the other")
ERASE_RATIO_LEFT = grid_open_left(0, 1, gt=0, description="one bound of its height over width")
ERASE_RATIO_RIGHT = grid_closed(0.3, 3, gt=0, description="the other")
AFFINE_LEFT = grid_open_left(0, 1, gt=0, description="one bound of the factor")
AFFINE_RIGHT = grid_open_left(1, 3, gt=0, description="the other")
BLUR_KERNEL = ValueChoice(2, 3, 4, ge=1, unit="voxels", description="edge length of the kernel")
INVERT_MAX_VALUE = ValueChoice(0.25, 0.5, 0.75, 1.0, description="what 0 becomes")
JITTER_BRIGHTNESS = ValueChoice(0.3, 0.5, ge=0, description="largest change of the brightness")
JITTER_CONTRAST = ValueChoice(0.5, 0.8, ge=0, description="largest change of the contrast")
SHIFT_SHARE = ValueChoice(
    0.05, 0.1, 0.15, 0.2, ge=0, le=1, description="largest shift, as a share of the axis"
)
