"""Problems of architecture: an object beyond small kernels' reach, a texture lost by a stride."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.planted.problem import PlantedDataset
from medpipe_plugins.planted.settings import ReachSettings, TextureSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core import Genotype

CHANCE = 0.5


class Reach(PlantedDataset):
    """Pairs of rods along the depth, six voxels apart along the height or along the width.

    The network of its space has one layer that looks beyond a voxel. Every window that a kernel of
    3 or 5 sees holds at most one rod of a pair, and rods are placed around the edges as if the
    volume were a torus, so that single rods say nothing: smaller kernels are at chance.
    """

    name = "planted-reach"
    title = "pairs six voxels apart: only kernel 7 reaches across"
    classes = ("beside", "below")
    optimum = MappingProxyType({"network/layer": frozenset({"k7"})})
    settings_model = ReachSettings

    _APART = 6
    _PAIRS = 4

    def _lost(self, genotype: Genotype) -> float:
        return 0.0 if genotype["network/layer"] == "k7" else 1 - CHANCE

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        plane = np.zeros((size, size))
        step = (self._APART, 0) if label else (0, self._APART)
        for first in rng.integers(0, size, (self._PAIRS, 2)):
            for place in (first, first + step):
                plane[tuple(place % size)] = 0.4
        return np.broadcast_to(plane, (size, size, size))


class Texture(PlantedDataset):
    """A pattern that alternates voxel by voxel, along the height or along the width.

    Its space begins with two convolutions of 1³ voxels, whose strides are 1 or even. An even stride
    keeps voxels of one sign alone, and nothing is left that tells the classes apart.
    """

    name = "planted-texture"
    title = "a texture of two voxels: an early stride destroys it"
    classes = ("along width", "along height")
    optimum = MappingProxyType(
        {f"network/{layer}/stride": frozenset({"1"}) for layer in ("stem", "second")}
    )
    settings_model = TextureSettings

    def _lost(self, genotype: Genotype) -> float:
        kept = all(genotype[path] == "1" for path in self.optimum)
        return 0.0 if kept else 1 - CHANCE

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        wave = 0.2 * (-1.0) ** (np.arange(size) + rng.integers(2))
        pattern = wave[None, :, None] if label else wave[None, None, :]
        return np.broadcast_to(pattern, (size, size, size))
