"""A slice of a DICOM file, and what holds for its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class StoredPixels:
    """Where whole numbers of one sample a pixel lie in a file.

    Attributes:
        start: The first byte.
        end: The one behind the last.
        syntax: The transfer syntax.
        allocated: Bits of each pixel.
        bits: Of these, those that count.
        high: The highest of those, from 0.
        signed: Whether it tells the sign.
        deflated: Whether the places are those of what the file inflates to.
    """

    start: int
    end: int
    syntax: str
    allocated: int
    bits: int
    high: int
    signed: bool
    deflated: bool = False


@dataclass(frozen=True)
class FileHeader:
    """What holds for all frames of a file; `pixels` where nothing else is needed to decode them."""

    path: Path
    rows: int
    columns: int
    frames: int
    dtype: str
    modality: str
    scanner: str
    patient: str
    series: str
    number: int | None
    description: str
    frame_of_reference: str
    image_type: tuple[str, ...]
    photometric: str
    samples: int
    notes: tuple[str, ...]
    pixels: StoredPixels | None

    @property
    def localizer(self) -> bool:
        """Whether it is a scout, made for planning."""
        return bool({"LOCALIZER", "SCOUT"} & {word.upper() for word in self.image_type})


@dataclass(frozen=True)
class Frame:
    """One slice.

    Attributes:
        file: The file that it is in.
        index: Which frame of it.
        uid: Identifies its pixels.
        position: Of the centre of its first voxel, in millimetres, LPS; None where not stated.
        orientation: Directions of its rows and columns, six cosines, LPS; None where not stated.
        spacing: Between rows, and between columns, in millimetres; None where not stated.
        thickness: In millimetres, or None.
        apart: SpacingBetweenSlices in millimetres, or None.
        rescale: Slope and intercept; None where neither is stated.
        order: What tells apart slices at one position: time, echo, acquisition, instance.
    """

    file: FileHeader
    index: int
    uid: str
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None
    apart: float | None
    rescale: tuple[float, float] | None
    order: tuple[Any, ...]
