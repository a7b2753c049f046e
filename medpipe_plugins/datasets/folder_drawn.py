"""Training scans whose last steps are drawn anew in each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from medpipe_core.data import (
    DataError,
    RedrawnSteps,
    StoredVolumes,
    VaryingVolumes,
    Volume,
    split_chain,
)
from medpipe_plugins.datasets.folder_cache import as_bytes
from medpipe_plugins.datasets.folder_scans import PreparedScan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core.data import Chain
    from medpipe_plugins.datasets.folder_cache import CachedDoor
    from medpipe_plugins.datasets.folder_manifest import Case
    from medpipe_plugins.datasets.folder_scans import ScanDoor


@dataclass(frozen=True, eq=False)
class KeptScan:
    """A training scan before its first random step, in memory or in a cache.

    Attributes:
        case: Name of its case.
        nbytes: What its voxels take.
        scan: Returns it.
    """

    case: str
    nbytes: int
    scan: Callable[[], Volume]


class DrawnScans:
    """Reads training scans, keeps them as they are before the first random step, and draws them.

    Args:
        door: Who reads and prepares.
        chain: How.
        cached: The cache, where there is one; else scans are kept in memory.
        whole: Whether voxels are held as uint8.

    Attributes:
        repeated: The steps that each epoch repeats; none where nothing is drawn in training.
    """

    def __init__(
        self, door: ScanDoor, chain: Chain, cached: CachedDoor | None, *, whole: bool
    ) -> None:
        self._door, self._cached, self._whole = door, cached, whole
        self._once, self.repeated = split_chain(chain, door.registry)
        self._steps = RedrawnSteps(self.repeated, door.registry, first=len(self._once) + 1)

    def prepared(self, case: Case) -> tuple[KeptScan, str, PreparedScan]:
        """Return what is kept of a scan, the key of it as it is judged, and it as it is judged.

        Raises:
            DataError: It cannot be read, prepared or drawn.
        """
        if self._cached is None:
            begun = self._door.begun(case, self._once)
            begun.scan.values.flags.writeable = False  # every epoch begins with them
            scan, again = begun.scan, lambda: begun.scan
        else:
            key, begun = self._cached.begun(case, self._once)
            scan, again = (
                begun.scan,
                partial(self._read, self._cached, case, key, begun.scan.affine),
            )

        def judged() -> PreparedScan:
            found = self._steps.judged(scan)
            return PreparedScan(found.values, found.spacing, begun.facts, begun.notes)

        key_judged, prepared = "", None
        if self._cached is not None:
            key_judged, prepared = self._cached.kept(case, judged)
        prepared = prepared or judged()
        drawn = self._steps.drawn(
            scan, case=case.name, seed=0
        )  # what fails in training fails now, with its name
        if drawn.shape != prepared.volume.shape:
            raise DataError(
                f"is drawn as {drawn.shape} in training and judged as {prepared.volume.shape}; end "
                "the preparation with 'resize' or 'centre'"
            )
        return KeptScan(case.name, scan.values.nbytes, again), key_judged, prepared

    def volumes(
        self, judged: NDArray[Any] | StoredVolumes, kept: Sequence[KeptScan]
    ) -> StoredVolumes:
        """Return volumes that each epoch draws from what was kept of their scans."""

        def draw(row: int, seed: int) -> NDArray[Any]:
            one = kept[row]
            try:
                drawn = self._steps.drawn(one.scan(), case=one.case, seed=seed)
            except DataError as error:
                raise DataError(f"{one.case}: {error}") from error
            return as_bytes(drawn) if self._whole else drawn

        return StoredVolumes([VaryingVolumes(judged, draw)])

    def _read(
        self, cached: CachedDoor, case: Case, key: str, affine: NDArray[np.float64] | None
    ) -> Volume:
        values = cached.cache.read(key)
        if values is not None:
            return Volume(values, affine)
        found, begun = cached.begun(case, self._once)
        if found != key:
            raise DataError("has changed since the run began to read it")
        return begun.scan
