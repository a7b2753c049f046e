"""Preparations of intensities. Each channel is looked at by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data import Volume

Percent = Annotated[float, Ge(0), Le(100)]


class Step(BaseModel):
    """A preparation is its parameters, and called with a scan."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Fill(Step):
    """Gives voxels that are NaN or infinite a value."""

    value: float | None = Field(
        None, description="that value; null for the least finite one of the scan"
    )

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan with finite voxels."""
        if all_finite(scan.values):
            return scan
        finite = np.isfinite(scan.values)
        if self.value is None and not finite.any():
            raise DataError("no voxel is finite")
        value = float(scan.values[finite].min()) if self.value is None else self.value
        count = finite.size - int(np.count_nonzero(finite))
        note = f"{count} voxels that were NaN or infinite became {value:g}"
        return scan.with_values(np.where(finite, scan.values, np.float32(value)), note=note)


class Between(Step):
    """A step between two bounds, the lower one first."""

    low: float
    high: float

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} has to be below high={self.high:g}")
        return self


class Window(Between):
    """Maps a range of intensities, such as Hounsfield units, to [0, 1]; what is beyond is cut."""

    low: float = Field(description="intensity that becomes 0")
    high: float = Field(description="intensity that becomes 1")

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan in [0, 1]."""
        return scan.with_values(scaled(scan.values, self.low, self.high))


class PercentileWindow(Between):
    """Maps the range between two percentiles of each channel to [0, 1]."""

    low: Percent = Field(0.5, description="percentile that becomes 0")
    high: Percent = Field(99.5, description="percentile that becomes 1")

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan in [0, 1]; a channel of one value becomes 0."""
        bounds = [np.percentile(c, (self.low, self.high)) for c in channels(scan.values)]
        return _scaled_by_channel(scan, bounds)


class Normalise(Step):
    """Maps each channel's least intensity to 0 and its largest to 1."""

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan in [0, 1]; a channel of one value becomes 0."""
        return _scaled_by_channel(scan, [(c.min(), c.max()) for c in channels(scan.values)])


class Quantise(Step):
    """Rounds [0, 1] to 256 values, as a data set held in bytes has them."""

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan with intensities that are multiples of 1/255."""
        whole = np.rint(np.clip(scan.values, 0, 1) * np.float32(255))
        return scan.with_values(whole / np.float32(255))


def channels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with the channel axis that they may lack."""
    return values.reshape(-1, *values.shape[-3:])


def scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Return values with `low` at 0 and `high` at 1, cut there.

    Raises:
        DataError: Some are not finite.
    """
    check_finite(values)
    scaled = values - np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def all_finite(values: NDArray[np.float32]) -> bool:
    """Say whether no voxel is NaN or infinite: the least and the largest tell, without a copy."""
    if not values.size:
        return True
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def check_finite(values: NDArray[np.float32]) -> None:
    """Refuse voxels that would spread over others.

    Raises:
        DataError: Some are NaN or infinite.
    """
    if not all_finite(values):
        odd = values.size - int(np.count_nonzero(np.isfinite(values)))
        raise DataError(f"{odd} voxels are NaN or infinite; put the step 'fill' before this one")


def _scaled_by_channel(scan: Volume, bounds: list[tuple[float, float]]) -> Volume:
    check_finite(scan.values)
    values = np.zeros(scan.values.shape, np.float32)
    blank = []
    for number, (slot, channel, (low, high)) in enumerate(
        zip(channels(values), channels(scan.values), bounds, strict=True)
    ):
        if low < high:
            slot[...] = scaled(channel, float(low), float(high))
        else:
            blank.append(str(number))
    note = f"no range to scale in channel {', '.join(blank)}: it became 0" if blank else ""
    return scan.with_values(values, note=note)
