"""A dataset of one's own scans: from a manifest or folders by class to volumes of one shape."""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medpipe_core import load_plugins
from medpipe_core.data import (
    DataError,
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
    SealedTest,
    Volume,
    VolumeCache,
    check_chain,
    check_room,
    fold_note,
)
from medpipe_plugins.datasets.folder_cache import CachedDoor, as_bytes
from medpipe_plugins.datasets.folder_cases import read_case
from medpipe_plugins.datasets.folder_drawn import DrawnScans
from medpipe_plugins.datasets.folder_facts import summary
from medpipe_plugins.datasets.folder_headers import file_facts
from medpipe_plugins.datasets.folder_manifest import read_cases
from medpipe_plugins.datasets.folder_scans import PreparedScan, ScanDoor
from medpipe_plugins.datasets.folder_settings import FolderSettings
from medpipe_plugins.datasets.folder_survey import survey, table
from medpipe_plugins.preparations import preset_chain
from medpipe_plugins.preparations.grid import Orient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from medpipe_core import Registry
    from medpipe_core.data import Chain, NewScan, StoredVolumes
    from medpipe_plugins.datasets.folder_drawn import KeptScan
    from medpipe_plugins.datasets.folder_facts import Facts
    from medpipe_plugins.datasets.folder_manifest import Case
    from medpipe_plugins.datasets.folder_survey import Problem, Survey

# Arrays as large as the scan that reading and preparing one takes.
_COPIES = 4
_NOTED = 5
_LOOKED_AT = 3  # training scans, before the run begins
_GIB = 2**30


class FolderDataset:
    """The dataset. Headers are read when the card is asked for, voxels of a part with the part.

    Args:
        registry: Who knows readers and preparations; every installed plugin by default.
        settings: Fields of `FolderSettings`.
    """

    _published: ClassVar[bool] = False

    def __init__(self, *, registry: Registry | None = None, **settings: Any) -> None:
        self.settings = FolderSettings(**settings)
        self._registry = load_plugins() if registry is None else registry
        self._chain = self._chosen_chain()
        self._door = ScanDoor(self._registry, self.settings.series, self.settings.volume)
        self._facts: list[Facts] = []

    @cached_property
    def card(self) -> DatasetCard:
        """What it says of itself; for size and spacing, a few training scans are prepared."""
        where = self.settings.manifest or self.settings.root
        counts = ", ".join(f"{len(cases)} {part}" for part, cases in self._survey.cases.items())
        steps = [_words(step) for step in self._chain]
        return DatasetCard(
            name="folder",
            title=f"Scans of {Path(where).name if where else 'a folder'}",
            classes=self._survey.classes,
            channels=self._shape[0],
            size=self._shape[1:],
            source=str(where),
            licence="that of the scans",
            spacing=self._spacing,
            notes=(
                f"Scans: {counts}.",
                *self._fold_notes(),
                f"Prepared by: {' → '.join(steps) or 'nothing; scans are taken as they are'}.",
                *self._drawn_notes(),
            ),
        )

    def preparation(self) -> Chain:
        """Return the chain that every scan is prepared by, as plain data."""
        return self._chain

    def development(self) -> Development:
        """Read and prepare training and validation scans.

        Scans that cannot be used are left out, which notes say; with `strict` they are refused.

        Raises:
            DataError: The set cannot be used; all that is wrong is told at once.
        """
        found = self._survey
        count = sum(map(len, found.cases.values()))
        itemsize = 1 if self.settings.voxels == "uint8" else 4
        kept = [nbytes for nbytes, _ in self._looked_at]
        held = count * math.prod(self._shape) * itemsize
        held += len(found.cases["train"]) * sum(kept) // len(kept)
        check_room(
            (held if self._cached is None else 0) + _COPIES * 4 * found.largest,
            f"{count} volumes of {self._shape} voxels",
            remedy="let them wait on the disk (data.cache=FOLDER), give a smaller dataset.size, or "
            "dataset.voxels=uint8",
        )
        problems: list[Problem] = []
        scan_notes: Counter[str] = Counter()
        self._facts.clear()
        train = self._read(found.cases["train"], problems, scan_notes, training=True)
        validation = self._read(found.cases["validation"], problems, scan_notes)
        left_out = [*found.problems, *problems]
        if left_out and self.settings.strict:
            raise DataError(
                f"{len(left_out)} scans cannot be used; without data.strict they are left out\n"
                f"{table(left_out)}"
            )
        if not (len(train) and len(validation)):
            raise DataError(f"no usable scan is left for training\n{table(left_out)}")
        notes = [*found.notes]
        if left_out:
            notes.append(f"{len(left_out)} scans were left out:\n{table(left_out)}")
        if self._cached is not None and held > self._cached.cache.most:
            notes.append(
                f"The prepared scans take {held / _GIB:.3g} GiB, more than the cache may: some are "
                "prepared again each time that they are read. Raise data.cache_gib."
            )
        notes += [f"{n} scans: {note}" for note, n in scan_notes.most_common(_NOTED)]
        return Development(train, validation, tuple(notes))

    def sealed_test(self) -> SealedTest:
        """Return the test set, of which headers alone are read before it is opened.

        Scans that then cannot be read are left out, which its notes say, or refused with `strict`;
        what is blank stays.
        """

        def read() -> LabelledVolumes:
            problems: list[Problem] = []
            test = self._read(self._survey.cases["test"], problems, Counter(), blank=True)
            if problems and (self.settings.strict or not len(test)):
                raise DataError(f"{len(problems)} test scans cannot be used\n{table(problems)}")
            if problems:
                told = f"{len(problems)} test scans were left out:\n{table(problems)}"
                sealed.notes = (told,)
            return test

        dtype = np.uint8 if self.settings.voxels == "uint8" else np.float32
        sealed = SealedTest(read, outline=Outline(self._shape, dtype))
        return sealed

    def scan_facts(self) -> dict[str, Any]:
        """Return the ranges of the training scans that `development()` read; plain data."""
        return summary(self._facts).model_dump()

    def new_scans(
        self,
        path: Any,
        *,
        chain: Chain,
        facts: Mapping[str, Any],
        series: str | int | None = None,
        volume: int | None = None,
    ) -> Iterator[NewScan]:
        """Read and prepare a new scan, or those of a table, as the set's own; see `ReadsScans`."""
        door = ScanDoor(
            self._registry,
            self._door.series if series is None else series,
            self._door.volume if volume is None else volume,
        )
        return door.new_scans(path, chain, facts)

    def original(self, case: str) -> Volume:
        """Return a scan of training or validation as it is read, axes turned as `orient` does.

        Raises:
            DataError: There is none of that name, or it cannot be read.
        """
        known = (*self._survey.cases["train"], *self._survey.cases["validation"])
        found = next((one for one in known if one.name == case), None)
        if found is None:
            raise DataError(f"no scan of training or validation is called {case!r}")
        scan = read_case(found, self.settings, self._registry)
        return Orient()(Volume(scan.values, scan.affine))

    def _cases(self) -> Sequence[Case]:
        """Return the scans that the set names, before any is looked at."""
        return read_cases(self.settings.manifest, self.settings.root)

    @cached_property
    def _survey(self) -> Survey:
        return survey(self._cases(), self.settings, self._registry, published=self._published)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Channel, depth, height and width: of the first training scan that can be prepared."""
        return self._looked_at[0][1].volume.shape

    @cached_property
    def _spacing(self) -> tuple[float, ...] | None:
        """The median of those of a few training scans, in millimetres; None if not known."""
        known = [scan.spacing for _, scan in self._looked_at if scan.spacing is not None]
        return tuple(map(float, np.median(known, axis=0))) if known else None

    @cached_property
    def _looked_at(self) -> list[tuple[int, PreparedScan]]:
        """The first training scan that can be prepared, and a few more for their spacing.

        With each, the bytes that are kept of it besides, to draw it from.
        """
        problems: list[Problem] = []
        found: list[tuple[int, PreparedScan]] = []
        cases = list(self._survey.cases["train"])
        while cases and len(found) < _LOOKED_AT:
            # From the first on at equal distances, and on to the next where one cannot be used.
            case = cases.pop(len(found) * (len(cases) - 1) // (_LOOKED_AT - 1))
            try:
                kept, _, scan = self._prepared(case, training=True)
                found.append((0 if kept is None else kept.nbytes, scan))
            except DataError as error:
                problems.append((case.name, str(error)))
        if found:
            return found
        raise DataError(
            "no training scan can be read and prepared; dataset.prepare says how scans become "
            f"volumes in [0, 1] (none, ct-lung, ct-soft, mr-brain, or steps)\n{table(problems)}"
        )

    def _drawn_notes(self) -> list[str]:
        steps = self._drawn.repeated
        if not steps:
            return []
        return [f"Each epoch of a training draws anew from {steps[0]['name']!r} on."]

    def _fold_notes(self) -> list[str]:
        fold, folds = self.settings.fold, self.settings.folds
        return [] if fold is None else [fold_note(fold, folds, own_test=False)]

    def _chosen_chain(self) -> Chain:
        size = self.settings.size
        asked = self.settings.prepare
        chain: Sequence[Any] = (
            asked
            if not isinstance(asked, str)
            else preset_chain(asked, size if isinstance(size, tuple) else (size,) * 3)
        )
        last = [{"name": "quantise"}] if self.settings.voxels == "uint8" else []
        return check_chain([*chain, *last], self._registry)

    @cached_property
    def _cached(self) -> CachedDoor | None:
        settings = self.settings
        if settings.cache is None:
            return None
        cache = VolumeCache(settings.cache, int(settings.cache_gib * _GIB))
        return CachedDoor(self._door, self._chain, cache, whole=settings.voxels == "uint8")

    @cached_property
    def _drawn(self) -> DrawnScans:
        whole = self.settings.voxels == "uint8"
        return DrawnScans(self._door, self._chain, self._cached, whole=whole)

    def _prepared(self, case: Case, *, training: bool) -> tuple[KeptScan | None, str, PreparedScan]:
        """Return what a scan is drawn from, its key where there is a cache, and the scan."""
        if training and self._drawn.repeated:
            return self._drawn.prepared(case)
        if self._cached is None:
            return None, "", self._door.prepared(case, self._chain, training=training)
        return None, *self._cached.prepared(case, training=training)

    def _read(
        self,
        cases: Sequence[Case],
        problems: list[Problem],
        notes: Counter[str],
        *,
        training: bool = False,
        blank: bool = False,
    ) -> LabelledVolumes:
        whole, cached = self.settings.voxels == "uint8", self._cached
        held = np.empty(
            (0 if cached else len(cases), *self._shape), np.uint8 if whole else np.float32
        )
        kept: list[Case] = []
        keys: list[str] = []
        drawn_from: list[KeptScan] = []
        for case in cases:
            try:
                whence, key, scan = self._prepared(case, training=training)
                volume = scan.volume
                if volume.shape != self._shape:
                    raise DataError(
                        f"becomes {volume.shape}, and the first scan {self._shape}; end the "
                        "preparation with 'resize' or 'centre'"
                    )
                if not blank and volume.min() == volume.max():
                    raise DataError(f"is blank: every voxel is {volume.min():g}")
            except DataError as error:
                problems.append((case.name, str(error)))
                continue
            if cached is None:
                held[len(kept)] = as_bytes(volume) if whole else volume
            kept.append(case)
            keys.append(key)
            drawn_from += [] if whence is None else [whence]
            notes.update(scan.notes)
            if training:
                self._facts.append(scan.facts)
        labels = [self._survey.classes.index(case.label) for case in kept]
        patients = [case.patient for case in kept]
        volumes: NDArray[Any] | StoredVolumes = held[: len(kept)]
        if cached is not None:
            as_trained = training and not drawn_from
            volumes = cached.volumes(kept, keys, self._shape, training=as_trained)
        if drawn_from:
            volumes = self._drawn.volumes(volumes, drawn_from)
        return LabelledVolumes(
            volumes,
            np.array(labels, np.int64),
            np.array(patients, np.str_) if all(patients) else None,
            np.array([case.name for case in kept], np.str_),
            file_facts(kept, [self._survey.headers[case.name] for case in kept]),
        )


def _words(step: dict[str, Any]) -> str:
    training = {f"{key} in training": v for key, v in step.get("training", {}).items()}
    given = {**step["parameters"], **training}
    shown = ", ".join(f"{key}={value}" for key, value in given.items() if value is not None)
    return f"{step['name']}({shown})" if shown else str(step["name"])
