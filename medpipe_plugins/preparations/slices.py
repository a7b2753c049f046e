"""A fixed number of slices from a scan of any depth, in their order."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from pydantic import Field

from medpipe_plugins.preparations.intensity import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core.data import Volume


class Slices(Step):
    """Takes slices along the depth: at equal distances about the middle, or at random.

    He et al. (2021) take them at random in training and about the middle in testing: as a step,
    `{"name": "slices", "parameters": {"count": 16}, "training": {"how": "random"}}`. Each epoch of
    a training draws them anew.
    """

    count: Annotated[int, Ge(1), Le(4096)] = Field(16, description="slices")
    how: Literal["middle", "random"] = Field(
        "middle", description="at equal distances about the middle, or at random in order"
    )
    seed: Annotated[int, Ge(0)] = Field(
        0, description="of the draw at random, which differs from scan to scan; not of training's"
    )

    def __call__(self, scan: Volume) -> Volume:
        """Return the scan with so many slices; some are repeated where it has fewer."""
        depth = scan.values.shape[-3]
        if self.how == "middle":
            chosen = middle_slices(depth, self.count)
        else:
            some = np.ascontiguousarray(scan.values[..., depth // 2, :, :])
            seed = (self.seed, zlib.crc32(some.data))
            chosen = random_slices(depth, self.count, np.random.default_rng(seed))
        note = f"{depth} slices became {self.count}" if depth < self.count else ""
        values = np.take(scan.values, chosen, axis=-3)
        return scan.with_values(values, affine=_stretched(scan.affine, chosen), note=note)

    def redrawn(self, seed: int) -> Slices | None:
        """Return the step with another seed; None about the middle, where nothing is drawn."""
        return self.model_copy(update={"seed": seed}) if self.how == "random" else None


def middle_slices(depth: int, count: int) -> NDArray[np.int64]:
    """Return slices about the middle, all as far apart as can be and equally so.

    The two ends are the same number of slices away from those of the scan, or one more. Where the
    scan has fewer slices than are asked for, they are repeated as evenly as can be.
    """
    if depth < count:
        return (2 * np.arange(count) + 1) * depth // (2 * count)
    step = (depth - 1) // (count - 1) if count > 1 else 1
    return (depth - 1 - step * (count - 1)) // 2 + step * np.arange(count)


def random_slices(depth: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return slices drawn without repetition, in order; repeated where there are too few."""
    if count <= depth:
        return np.sort(rng.choice(depth, count, replace=False))
    return np.sort(np.concatenate((np.arange(depth), rng.integers(depth, size=count - depth))))


def _stretched(
    affine: NDArray[np.float64] | None, chosen: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return an affine from the first chosen slice to the last; those between may be uneven."""
    if affine is None:
        return None
    step = (chosen[-1] - chosen[0]) / (len(chosen) - 1) if len(chosen) > 1 else 1
    stretched = affine.copy()
    stretched[:3, 3] += affine[:3, 0] * chosen[0]
    stretched[:3, 0] *= step or 1
    return stretched
