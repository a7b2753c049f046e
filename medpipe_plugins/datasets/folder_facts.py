"""What scans are like before they are prepared, and whether another one is like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from medpipe_core.data import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from medpipe_plugins.scans import Scan

    Facts = dict[str, Any]

_PERCENTILES = {"1st percentile": 1, "median": 50, "99th percentile": 99}
_LOOKED_AT = 100_000  # voxels of a channel; enough for percentiles
# Of scans in training, the first and the last percent may be freaks.
_TAILS = (1, 99)
_SLACK = 0.5  # of the range that training scans lie in, on either side
_LENGTHS = 0.1  # and of a length itself
_CONTRAST = 0.05  # and of the contrast, for intensities


def _three_or_none(found: list[Range]) -> list[Range]:
    if len(found) not in (0, 3):
        raise ValueError(f"three ranges or none are kept, not {len(found)}")
    return found


class Range(BaseModel):
    """The first and the last percent of what training scans have."""

    low: float
    high: float


_Three = Annotated[list[Range], AfterValidator(_three_or_none)]


class TrainingFacts(BaseModel):
    """The ranges that training scans lie in, as a run keeps them in `scans.json`.

    Lengths are right to left, front to back and up; an empty list says that nothing is known.
    """

    count: int = Field(0, description="training scans")
    without_geometry: int = Field(0, description="of these, whose files tell no millimetres")
    spacing: _Three = Field([], description="millimetres from voxel to voxel")
    extent: _Three = Field([], description="millimetres from end to end")
    shape: _Three = Field([], description="voxels, of those without geometry")
    modalities: list[str] = Field([], description="that files name")
    intensities: list[_Three] = Field([], description="of each channel, by percentile")

    @classmethod
    def kept(cls, content: object) -> TrainingFacts:
        """Read what a run kept.

        Raises:
            DataError: It is something else.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(
                f"what the run kept of its training scans (scans.json) cannot be used: {where}: "
                f"{first['msg']}"
            ) from None


def facts_of(scan: Scan) -> Facts:
    """Return what a scan is like, as plain data.

    Its `spacing` and `extent` in millimetres, right to left, front to back and up, or None where
    the file does not say; its `shape`; its `modality` where known; and of each channel's finite
    voxels the 1st, 50th and 99th percentile.
    """
    shape = scan.values.shape[-3:]
    spacing = None if scan.spacing is None else [float(length) for length in scan.spacing]
    extent = None
    if spacing is not None:
        extent = [n * length for n, length in zip(shape, spacing, strict=True)]
    channels = scan.values.reshape(-1, *shape)
    return {
        "shape": [int(n) for n in shape],
        "spacing": spacing,
        "extent": extent,
        "modality": scan.header.modality,
        "intensities": [_percentiles(channel) for channel in channels],
    }


def summary(facts: Sequence[Facts]) -> TrainingFacts:
    """Return the ranges that scans lie in."""
    placed = [one for one in facts if one["spacing"] is not None]
    bare = [one for one in facts if one["spacing"] is None]
    channels = min((len(one["intensities"]) for one in facts), default=0)
    return TrainingFacts(
        count=len(facts),
        without_geometry=len(bare),
        spacing=_ranges([one["spacing"] for one in placed]),
        extent=_ranges([one["extent"] for one in placed]),
        shape=_ranges([one["shape"] for one in bare]),
        modalities=sorted({one["modality"] for one in facts if one["modality"]}),
        intensities=[
            _ranges([found for one in facts if (found := one["intensities"][channel])])
            for channel in range(channels)
        ],
    )


def unlike(known: TrainingFacts, facts: Facts) -> list[str]:
    """Say in which ways a scan is unlike those that were summed up; nothing where it is not known.

    A length is unlike them beyond their range, half of that and a tenth of its bound, an intensity
    beyond their range, half of that and a twentieth of their contrast.
    """
    if not known.count:
        return []
    return [*_geometry(known, facts), *_modality(known, facts), *_intensities(known, facts)]


def _geometry(known: TrainingFacts, facts: Facts) -> Iterator[str]:
    if facts["spacing"] is None:
        if not known.without_geometry:
            yield "the file does not say how far voxels are apart, those of the training scans did"
        elif text := _lengths(known.shape, facts["shape"], "voxels"):
            yield f"its size is {text}"
        return
    if not known.spacing:
        yield (
            "the file says how the patient lay, those of the training scans did not: its axes may "
            "run otherwise"
        )
        return
    if text := _lengths(known.spacing, facts["spacing"], "mm"):
        yield f"the spacing is {text}"
    if text := _lengths(known.extent, facts["extent"], "mm"):
        yield f"its size is {text}"


def _modality(known: TrainingFacts, facts: Facts) -> Iterator[str]:
    modalities, found = known.modalities, facts["modality"]
    if modalities and found and found not in modalities:
        yield f"the modality is {found}, of the training scans {', '.join(modalities)}"


def _intensities(known: TrainingFacts, facts: Facts) -> Iterator[str]:
    several = len(facts["intensities"]) > 1
    pairs = zip(known.intensities, facts["intensities"], strict=False)
    for number, (ranges, found) in enumerate(pairs):
        if not ranges or not found:
            continue
        contrast = ranges[-1].high - ranges[0].low
        where = f" of channel {number}" if several else ""
        for name, one, value in zip(_PERCENTILES, ranges, found, strict=True):
            if _beyond(one, value, _CONTRAST * contrast):
                yield (
                    f"the {name} of the intensities{where} is {value:.4g}, of the training scans "
                    f"{_words(one)}"
                )


def _lengths(ranges: Sequence[Range], found: Sequence[float], unit: str) -> str:
    """Return lengths beside those of the training scans, or nothing if none is unusual."""
    odd = [
        axis
        for axis, (one, value) in enumerate(zip(ranges, found, strict=True))
        if _beyond(one, value, _LENGTHS * (one.low if value < one.low else one.high))
    ]
    if not odd:
        return ""
    all_of_them = " × ".join(f"{value:.4g}" for value in found)
    usual = " × ".join(_words(one) for one in ranges)
    return f"{all_of_them} {unit}, of the training scans {usual} {unit}"


def _beyond(one: Range, value: float, slack: float) -> bool:
    slack += _SLACK * (one.high - one.low)
    return not one.low - slack <= value <= one.high + slack


def _words(one: Range) -> str:
    low, high = f"{one.low:.4g}", f"{one.high:.4g}"
    return low if low == high else f"{low} to {high}"


def _ranges(rows: Sequence[Sequence[float]]) -> list[Range]:
    if not rows:
        return []
    low, high = np.percentile(np.array(rows, float), _TAILS, axis=0)
    return [Range(low=float(a), high=float(b)) for a, b in zip(low, high, strict=True)]


def _percentiles(channel: NDArray[np.float32]) -> list[float]:
    """Return three percentiles of the finite voxels, of some of them where there are many."""
    # An odd step, so that it does not keep to the same columns of every row. `flat` goes by index,
    # whatever the order in memory, and copies no more than these.
    some = np.asarray(channel.flat[:: max(channel.size // _LOOKED_AT, 1) | 1])
    finite = some[np.isfinite(some)]
    if not finite.size:
        return []
    in_order = np.sort(finite)  # sorting all is faster than taking several places apart
    return [float(one) for one in np.percentile(in_order, list(_PERCENTILES.values()))]
