"""One scan of the set, or a new one: read, prepared, and what it was like before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpipe_core.data import DataError, NewScan, begun_volume, prepared_volume
from medpipe_plugins.datasets.folder_cases import read_case
from medpipe_plugins.datasets.folder_facts import TrainingFacts, facts_of, unlike
from medpipe_plugins.datasets.folder_manifest import Case, read_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from medpipe_core import Registry
    from medpipe_core.data import Chain, Volume
    from medpipe_plugins.datasets.folder_facts import Facts

_TABLES = (".csv", ".tsv", ".json")


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan as a network takes it.

    Attributes:
        volume: `(channel, depth, height, width)`, float32 in [0, 1].
        spacing: Millimetres between its voxels along depth, height and width; None if not known.
        facts: What it was like before, as `facts_of` tells.
        notes: What was unusual when it was read.
    """

    volume: NDArray[np.float32]
    spacing: tuple[float, ...] | None
    facts: Facts
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BegunScan:
    """A scan that some steps of a chain have been through.

    Attributes:
        scan: It as it is between two steps.
        facts: What it was like before, as `facts_of` tells.
        notes: What was unusual when it was read.
    """

    scan: Volume
    facts: Facts
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ScanDoor:
    """How scans of a set are read: which of several, and by whom.

    Attributes:
        registry: Who knows readers and preparations.
        series: Which of several series, as of `read_scan`.
        volume: Which of several volumes.
    """

    registry: Registry
    series: str | int | None = None
    volume: int | None = None

    def prepared(self, case: Case, chain: Chain, *, training: bool = False) -> PreparedScan:
        """Read a scan and prepare it.

        Raises:
            DataError: One of them failed; the text says which and why.
        """
        scan = read_case(case, self, self.registry)
        found = prepared_volume(scan, chain, self.registry, training=training)
        return PreparedScan(found.values, found.spacing, facts_of(scan), scan.notes)

    def begun(self, case: Case, chain: Chain) -> BegunScan:
        """Read a scan and go through the first part of a chain.

        Raises:
            DataError: One of them failed; the text says which and why.
        """
        scan = read_case(case, self, self.registry)
        return BegunScan(begun_volume(scan, chain, self.registry), facts_of(scan), scan.notes)

    def new_scans(self, path: Any, chain: Chain, facts: Mapping[str, Any]) -> Iterator[NewScan]:
        """Read and prepare what a path stands for; what cannot be used says why.

        Raises:
            DataError: The facts are none.
        """
        known = TrainingFacts.kept(facts)
        try:
            cases = new_cases(path)
        except DataError as error:
            yield NewScan(str(path), failed=str(error))
            return
        for case in cases:
            try:
                found = self.prepared(case, chain)
            except DataError as error:
                yield NewScan(case.name, failed=_with_name(case, str(error)))
                continue
            warnings = unlike(known, found.facts)
            yield NewScan(case.name, found.volume, tuple(warnings), found.notes)


def new_cases(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Case]:
    """Return the scans that a path stands for: one, or those of a table.

    Several paths, or one with ';' between files, are channels of one scan; a table is a `.csv`,
    `.tsv` or `.json` file with a column `path`.

    Raises:
        DataError: It is a table that cannot be understood, or no path.
    """
    several = [path] if isinstance(path, str | os.PathLike) else path
    fits = isinstance(several, Sequence) and len(several) > 0
    if not fits or not all(isinstance(one, str | os.PathLike) for one in several):
        raise DataError(f"{path!r} is no path, nor several that are channels of one scan")
    texts = [os.fspath(one) for one in several]
    if not all(text.strip() for text in texts):
        raise DataError("an empty text is no path of a scan")
    if not isinstance(path, str | os.PathLike):
        return [Case(";".join(texts), tuple(map(Path, texts)), "")]
    (text,) = texts
    one = os.path.expanduser(text)  # unlike Path.expanduser, it lets a user be who is not there
    if ";" in text and not os.path.lexists(one):
        return new_cases([part.strip() for part in text.split(";")])
    if one.lower().endswith(_TABLES) and not os.path.isdir(one):
        return read_paths(Path(one))
    return [Case(text, (Path(text),), "")]


def _with_name(case: Case, told: str) -> str:
    return told if any(str(path) in told for path in case.paths) else f"{case.name}: {told}"
