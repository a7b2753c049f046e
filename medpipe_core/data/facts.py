"""What is known of scans besides their voxels, and what a few numbers say of the voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.likeness import measured
from medpipe_core.data.stored import parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data.volumes import LabelledVolumes

_WORDS = {
    "mean": "mean intensity",
    "deviation": "deviation of intensities",
    "background": "share of background",
}
_SHOWN = 10


def facts_of(data: LabelledVolumes) -> dict[str, NDArray[Any]]:
    """Return what is known of each volume: of its voxels, and what its dataset says of its file.

    Returns:
        Name → `(count,)`, float64 with NaN for unknown, or texts.
    """
    found = [measured(np.asarray(part)) for part in parts(data.volumes)]
    of_voxels = {
        words: np.concatenate([one[name] for one in found]) if found else np.empty(0)
        for name, words in _WORDS.items()
    }
    return {**of_voxels, **(data.facts or {})}


def summary(values: NDArray[Any]) -> dict[str, Any]:
    """Describe a fact in a few numbers: `low`, `median`, `high` and `unknown`, or `values`."""
    if values.dtype.kind == "U":
        texts, counts = np.unique(values, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        told = {str(texts[i]) or "not said": int(counts[i]) for i in order}
        return {"values": told, "different": len(texts)}
    known = values[np.isfinite(values)]
    unknown = {"unknown": int(len(values) - len(known))}
    if not len(known):
        return unknown
    low, median, high = np.quantile(known, (0, 0.5, 1)).tolist()
    return {"low": low, "median": median, "high": high, **unknown}
