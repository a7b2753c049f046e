"""Labelled volumes, splits, batches on the device and the sealed test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.data.batches import Batch, Batches, ordered_batches
    from medpipe_core.data.cache import CachedVolumes, VolumeCache
    from medpipe_core.data.checking import (
        absent_classes,
        check_card,
        check_development,
        check_sealed,
        check_volumes,
        shared_patients,
    )
    from medpipe_core.data.cross_validation import (
        CrossValidatedDataset,
        cross_validated,
        fold_note,
    )
    from medpipe_core.data.dataset import (
        Dataset,
        Development,
        KnownAnswer,
        Outline,
        PreparedByChain,
        SealedTest,
        TestSetError,
    )
    from medpipe_core.data.errors import DataError
    from medpipe_core.data.facts import facts_of
    from medpipe_core.data.fingerprinting import fingerprints, near_doubles
    from medpipe_core.data.likeness import appearance, unlike
    from medpipe_core.data.new_scans import NewScan, ReadsScans
    from medpipe_core.data.npz import (
        DATA_FOLDER_VARIABLE,
        data_file,
        data_folder,
        npy_header,
        npz_header,
        npz_shape,
        read_npz,
    )
    from medpipe_core.data.preparation import (
        Chain,
        Preparation,
        RandomPreparation,
        Volume,
        begun_volume,
        check_chain,
        prepared,
        prepared_volume,
    )
    from medpipe_core.data.redrawing import RedrawnSteps, split_chain
    from medpipe_core.data.room import check_room
    from medpipe_core.data.splits import folds, halves, split
    from medpipe_core.data.stored import StoredVolumes, value_range
    from medpipe_core.data.varying import ChangedVolumes, VaryingVolumes
    from medpipe_core.data.volumes import DatasetCard, LabelledVolumes, blank, describe, overlap

__all__ = [
    "DATA_FOLDER_VARIABLE",
    "Batch",
    "Batches",
    "CachedVolumes",
    "Chain",
    "ChangedVolumes",
    "CrossValidatedDataset",
    "DataError",
    "Dataset",
    "DatasetCard",
    "Development",
    "KnownAnswer",
    "LabelledVolumes",
    "NewScan",
    "Outline",
    "Preparation",
    "PreparedByChain",
    "RandomPreparation",
    "ReadsScans",
    "RedrawnSteps",
    "SealedTest",
    "StoredVolumes",
    "TestSetError",
    "VaryingVolumes",
    "Volume",
    "VolumeCache",
    "absent_classes",
    "appearance",
    "begun_volume",
    "blank",
    "check_card",
    "check_chain",
    "check_development",
    "check_room",
    "check_sealed",
    "check_volumes",
    "cross_validated",
    "data_file",
    "data_folder",
    "describe",
    "facts_of",
    "fingerprints",
    "fold_note",
    "folds",
    "halves",
    "near_doubles",
    "npy_header",
    "npz_header",
    "npz_shape",
    "ordered_batches",
    "overlap",
    "prepared",
    "prepared_volume",
    "read_npz",
    "shared_patients",
    "split",
    "split_chain",
    "unlike",
    "value_range",
]

# Batches need torch and volumes numpy; what describes a dataset or a chain needs neither.
__getattr__ = lazy_names(
    __name__,
    {
        "batches": (
            "Batch",
            "Batches",
            "ordered_batches",
        ),
        "cache": ("CachedVolumes", "VolumeCache"),
        "checking": (
            "absent_classes",
            "check_card",
            "check_development",
            "check_sealed",
            "check_volumes",
            "shared_patients",
        ),
        "cross_validation": (
            "CrossValidatedDataset",
            "cross_validated",
            "fold_note",
        ),
        "dataset": (
            "Dataset",
            "Development",
            "KnownAnswer",
            "Outline",
            "PreparedByChain",
            "SealedTest",
            "TestSetError",
        ),
        "errors": ("DataError",),
        "facts": ("facts_of",),
        "fingerprinting": (
            "fingerprints",
            "near_doubles",
        ),
        "likeness": (
            "appearance",
            "unlike",
        ),
        "new_scans": ("NewScan", "ReadsScans"),
        "npz": (
            "DATA_FOLDER_VARIABLE",
            "data_file",
            "data_folder",
            "npy_header",
            "npz_header",
            "npz_shape",
            "read_npz",
        ),
        "preparation": (
            "Chain",
            "Preparation",
            "RandomPreparation",
            "Volume",
            "begun_volume",
            "check_chain",
            "prepared",
            "prepared_volume",
        ),
        "redrawing": ("RedrawnSteps", "split_chain"),
        "room": ("check_room",),
        "splits": (
            "folds",
            "halves",
            "split",
        ),
        "stored": (
            "StoredVolumes",
            "value_range",
        ),
        "varying": ("ChangedVolumes", "VaryingVolumes"),
        "volumes": (
            "DatasetCard",
            "LabelledVolumes",
            "blank",
            "describe",
            "overlap",
        ),
    },
)
