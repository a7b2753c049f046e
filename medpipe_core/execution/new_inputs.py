"""What a trained network is asked about: arrays, files with arrays, or scans as in training."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import DataError
from medpipe_core.execution.array_files import read_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from medpipe_core.data import Chain, NewScan, ReadsScans

    One = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[Any]
    Inputs = NDArray[Any] | Sequence[One]


@dataclass(frozen=True)
class ScansOfRun:
    """How a run read scans.

    Attributes:
        dataset: Its dataset, of which nothing but this is asked.
        chain: How it prepared scans.
        facts: What its training scans were like; empty where it did not keep that.
    """

    dataset: ReadsScans
    chain: Chain
    facts: Mapping[str, Any]

    def read(self, path: Any, series: str | int | None, volume: int | None) -> Iterator[NewScan]:
        """Read and prepare what a path stands for."""
        return self.dataset.new_scans(
            path, chain=self.chain, facts=self.facts, series=series, volume=volume
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """Volumes that are answered for together.

    Attributes:
        names: What each is called.
        volumes: `(count, channel, *space)`, or None where they cannot be used.
        warnings: In which ways a scan was unlike those of training, before it was prepared.
        notes: What was unusual when it was read.
        failed: Why they cannot be used, or the empty text.
    """

    names: tuple[str, ...]
    volumes: NDArray[Any] | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""


def asked(
    inputs: Inputs,
    shape: tuple[int, ...],
    scans: ScansOfRun | None,
    *,
    series: str | int | None = None,
    volume: int | None = None,
) -> Iterator[Asked]:
    """Read what is asked about, one after another, so that no more than one is held.

    Args:
        inputs: As `TrainedModel.predict` takes them.
        shape: `(channel, *space)` that the network takes.
        scans: How files are read; None for arrays in files.
        series: Which of several series.
        volume: Which of several volumes.

    Raises:
        DataError: An array that is no file cannot be used, a series is asked for where files are
            arrays, or inputs are no list.
    """
    if scans is None and (series is not None or volume is not None):
        raise DataError(
            "the run was trained on arrays, not on scans: there is no series and no volume to "
            "choose in a file"
        )
    if isinstance(inputs, np.ndarray):
        names = tuple(str(number) for number in range(len(inputs)))
        yield Asked(names, checked(inputs, shape, "the volumes"))
        return
    if isinstance(inputs, str | os.PathLike) or not isinstance(inputs, Iterable):
        raise DataError(f"a list of files or of volumes is answered for, not {inputs!r}")
    for number, one in enumerate(inputs):
        if isinstance(one, np.ndarray):
            yield Asked((str(number),), checked(one[None], shape, f"volume {number}"))
        elif scans is None:
            yield _array_file(one, shape)
        else:
            for scan in scans.read(one, series, volume):
                yield _scan(scan, shape)


def checked(volumes: NDArray[Any], shape: tuple[int, ...], who: str) -> NDArray[Any]:
    """Return volumes that a network takes.

    Raises:
        DataError: They have another shape or type, or voxels that are no number.
    """
    if volumes.shape[1:] != shape:
        raise DataError(
            f"{who}: the network takes volumes {shape} (channel, *space), but these are "
            f"{volumes.shape[1:]}; bring them to that size first, as the training data were"
        )
    if volumes.dtype != np.uint8 and volumes.dtype.kind != "f":
        raise DataError(
            f"{who}: volumes are uint8 in [0, 255] or floating-point in [0, 1], but these are "
            f"{volumes.dtype}"
        )
    if not np.isfinite(volumes).all():
        raise DataError(f"{who}: a voxel is no finite number")
    return volumes


def _array_file(one: Any, shape: tuple[int, ...]) -> Asked:
    if not isinstance(one, str | os.PathLike):
        raise DataError(f"a file or a volume is answered for, not {one!r}")
    try:
        volumes = checked(read_array(Path(one), shape), shape, str(one))
    except DataError as error:
        return Asked((str(one),), None, failed=str(error))
    several = len(volumes) > 1
    names = [f"{one}[{row}]" if several else str(one) for row in range(len(volumes))]
    return Asked(tuple(names), volumes)


def _scan(scan: NewScan, shape: tuple[int, ...]) -> Asked:
    if scan.volume is None:
        return Asked((scan.case,), None, notes=scan.notes, failed=scan.failed)
    if scan.volume.shape != shape:
        failed = (
            f"{scan.case}: becomes {scan.volume.shape} (channel, *space) by the preparation of the "
            f"run, and its network takes {shape}"
        )
        return Asked((scan.case,), None, scan.warnings, scan.notes, failed)
    return Asked((scan.case,), scan.volume[None], scan.warnings, scan.notes)
