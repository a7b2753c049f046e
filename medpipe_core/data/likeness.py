"""What volumes look like in a few numbers, and whether others look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.data.stored import parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core.data.stored import StoredVolumes

_TAILS = (0.01, 0.99)
_SLACK = 1.0  # distances between the tails, on either side


def appearance(volumes: NDArray[Any] | StoredVolumes) -> dict[str, dict[str, float]]:
    """Describe volumes by the ranges that nearly all of them lie in.

    Args:
        volumes: `(count, channel, *space)`, uint8 in [0, 255] or floating-point in [0, 1].

    Returns:
        `mean`, `deviation` and `background` (the share of voxels at a volume's least value) →
        `low` and `high`, the first and the last percent; intensities in [0, 1].
    """
    if not len(volumes):
        return {}
    rows = [measured(np.asarray(part)) for part in parts(volumes)]
    found = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return {
        name: dict(zip(("low", "high"), map(float, np.quantile(values, _TAILS)), strict=True))
        for name, values in found.items()
    }


def unlike(known: Mapping[str, Mapping[str, float]], volumes: NDArray[Any]) -> list[list[str]]:
    """Say of each volume in which ways it is unlike those that were described.

    Args:
        known: What `appearance` returned.
        volumes: `(count, channel, *space)`, of the same kind.
    """
    notes: list[list[str]] = [[] for _ in range(len(volumes))]
    if not len(volumes):
        return notes
    for name, values in measured(volumes).items():
        if name not in known:
            continue
        low, high = known[name]["low"], known[name]["high"]
        slack = _SLACK * (high - low) + 1e-3
        for row, value in enumerate(values):
            if not low - slack <= value <= high + slack:
                usual = f"{low:.3g} to {high:.3g}"
                notes[row].append(f"{_WORDS[name]} is {value:.3g}, of the training volumes {usual}")
    return notes


_WORDS = {
    "mean": "the mean intensity",
    "deviation": "the deviation of the intensities",
    "background": "the share of background",
}


def measured(volumes: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return mean, deviation and background of each volume."""
    scale = 255.0 if volumes.dtype == np.uint8 else 1.0
    flat = volumes.reshape(len(volumes), -1)
    return {
        "mean": flat.mean(1, dtype=np.float64) / scale,
        "deviation": flat.std(1, dtype=np.float64) / scale,
        "background": (flat == flat.min(1, keepdims=True)).mean(1),
    }
