"""Prepared scans in a cache, found by the content of their files and what was done to them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data import CachedVolumes, DataError, StoredVolumes, Volume, VolumeCache
from medpipe_plugins.datasets.folder_scans import BegunScan, PreparedScan, ScanDoor
from medpipe_plugins.scans import scan_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from medpipe_core.data import Chain
    from medpipe_plugins.datasets.folder_manifest import Case

# To be raised where a scan would be prepared otherwise than before by the same version.
_FORMAT = 1
_LEVELS = np.float32(255)


@dataclass(frozen=True)
class CachedDoor:
    """Reads and prepares scans, or takes them from a cache where that has been done.

    Attributes:
        door: Who reads and prepares.
        chain: How.
        cache: Where prepared scans are kept.
        whole: Whether voxels are kept as uint8, which the chain has to end in 256 values for.
    """

    door: ScanDoor
    chain: Chain
    cache: VolumeCache
    whole: bool = False

    def prepared(self, case: Case, *, training: bool) -> tuple[str, PreparedScan]:
        """Return the key of a scan, and the scan.

        Raises:
            DataError: It cannot be read or prepared, or the cache cannot be written.
        """
        return self.kept(
            case, lambda: self.door.prepared(case, self.chain, training=training), training=training
        )

    def kept(
        self, case: Case, make: Callable[[], PreparedScan], *, training: bool = False
    ) -> tuple[str, PreparedScan]:
        """Return the key of a scan, and the scan: from the cache, or made and kept there."""
        key = self._key(case, self.chain, training=training, whole=self.whole)
        found = self.cache.get(key)
        if found is not None:
            volume, about = found
            spacing = None if about["spacing"] is None else tuple(about["spacing"])
            notes = tuple(about["notes"])
            return key, PreparedScan(_as_floats(volume), spacing, about["facts"], notes)
        scan = make()
        stored = as_bytes(scan.volume) if self.whole else scan.volume
        about = {"facts": scan.facts, "notes": list(scan.notes), "spacing": scan.spacing}
        self.cache.put(key, stored, about)
        return key, scan

    def begun(self, case: Case, chain: Chain) -> tuple[str, BegunScan]:
        """Return the key of a scan after the first part of the chain, and the scan.

        Raises:
            DataError: As of `prepared`.
        """
        key = self._key(case, chain, training=False, whole=False)
        found = self.cache.get(key)
        if found is not None:
            values, about = found
            affine = None if about["affine"] is None else np.array(about["affine"])
            return key, BegunScan(Volume(values, affine), about["facts"], tuple(about["notes"]))
        begun = self.door.begun(case, chain)
        affine = begun.scan.affine
        about = {
            "facts": begun.facts,
            "notes": list(begun.notes),
            "affine": None if affine is None else np.asarray(affine, float).tolist(),
        }
        self.cache.put(key, begun.scan.values, about)
        return key, begun

    def volumes(
        self, cases: Sequence[Case], keys: Sequence[str], shape: tuple[int, ...], *, training: bool
    ) -> StoredVolumes:
        """Return the volumes of scans that were prepared, to be read on demand."""

        def make(row: int) -> NDArray[Any]:
            key, scan = self.prepared(cases[row], training=training)
            if key != keys[row]:
                raise DataError(f"{cases[row].name}: has changed since the run began to read it")
            return as_bytes(scan.volume) if self.whole else scan.volume

        dtype = np.uint8 if self.whole else np.float32
        return StoredVolumes([CachedVolumes(self.cache, keys, make, shape, dtype)])

    def _key(self, case: Case, chain: Chain, *, training: bool, whole: bool) -> str:
        """Return what a scan after a chain follows from, as a digest."""
        steps = [
            {
                "name": step["name"],
                "parameters": step["parameters"] | (step.get("training", {}) if training else {}),
                "by": self._by("preparation", step["name"]),
            }
            for step in chain
        ]
        registry = self.door.registry
        made_of = {
            "format": _FORMAT,
            "steps": steps,
            "readers": {name: self._by("reader", name) for name in registry.names("reader")},
            "series": self.door.series,
            "volume": self.door.volume,
            "whole": whole,
            "slices": case.slices,
            "files": [_content(path, self.door) for path in case.paths],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def _by(self, kind: str, name: str) -> list[str]:
        entry = self.door.registry.entry(kind, name)
        return [entry.distribution, entry.version]


def as_bytes(volume: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a volume of 256 values as uint8."""
    levels: NDArray[np.uint8] = np.rint(volume * _LEVELS).astype(np.uint8)
    return levels


def _as_floats(volume: NDArray[Any]) -> NDArray[np.float32]:
    return volume if volume.dtype == np.float32 else volume.astype(np.float32) / _LEVELS


def _content(path: Path, door: ScanDoor) -> list[list[str]]:
    """Return the digests of the files that a path stands for, by name within a folder."""
    root = path if path.is_dir() else path.parent
    found = []
    for file in scan_files(path, registry=door.registry):
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{file}: cannot be opened ({error})") from None
        # The name of a single file does not matter, but for what follows from its ending.
        name = os.path.relpath(file, root) if path.is_dir() else "".join(file.suffixes[-2:])
        found.append([name, digest])
    return found
