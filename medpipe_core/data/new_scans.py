"""What a dataset has besides, if it reads new scans as it read those that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core.data.preparation import Chain

    ScanPath = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class NewScan:
    """A scan that a trained network is asked about.

    Attributes:
        case: What it is called.
        volume: It prepared, `(channel, *space)`, float32 in [0, 1]; None where it cannot be used.
        warnings: In which ways it is unlike the training scans, in words.
        notes: What was unusual when it was read, a sentence each.
        failed: Why it cannot be used, or the empty text.
    """

    case: str
    volume: NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""


@runtime_checkable
class ReadsScans(Protocol):
    """A dataset that is `PreparedByChain` and reads new scans in the same way.

    To answer for new scans a run makes its dataset again, with the settings that it had, and asks
    for nothing else of it: the scans that it was trained on need not be there any more.
    """

    def scan_facts(self) -> Mapping[str, Any]:
        """Return what the training scans were like before they were prepared, as plain data.

        The run asks after `development()`, and keeps it.
        """

    def new_scans(
        self,
        path: ScanPath,
        *,
        chain: Chain,
        facts: Mapping[str, Any],
        series: str | int | None = None,
        volume: int | None = None,
    ) -> Iterator[NewScan]:
        """Read and prepare what a path stands for: one scan, or those that a table of it names.

        What cannot be used is a `NewScan` with `failed`; nothing is raised for it.

        Args:
            path: A file or folder, or several of them that are channels of one scan.
            chain: How the run prepared its scans.
            facts: What `scan_facts` returned then; empty where the run did not keep it.
            series: Which of several series; by default as in training.
            volume: Which of several volumes; by default as in training.
        """
