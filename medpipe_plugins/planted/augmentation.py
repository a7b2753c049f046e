"""Problems of augmentation: what destroys the label, and what few samples need."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.planted.problem import PlantedDataset, majority_belief, placed
from medpipe_plugins.planted.settings import SymmetrySettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core import Genotype

_PERIOD = 6
_NEVER = frozenset({"0"})
_OFTEN = frozenset({"0.5"})


class Side(PlantedDataset):
    """A saw-tooth along the height that rises or falls: a V-flip turns one class into the other.

    Flips along the other axes and a little noise change nothing that matters.
    """

    name = "planted-side"
    title = "the label is a side: V-flips destroy it"
    classes = ("rising", "falling")
    optimum = MappingProxyType({"augment/v_flip/p": _NEVER})

    def _lost(self, genotype: Genotype) -> float:
        return 1 - majority_belief(float(genotype["augment/v_flip/p"]))

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        wave = (np.arange(size) + rng.uniform(0, _PERIOD)) % _PERIOD / _PERIOD - 0.5
        wave = wave[::-1] if label else wave
        return np.broadcast_to(0.5 * wave[None, :, None], (size, size, size))


class Intensity(PlantedDataset):
    """Small cubes darker or brighter than the background: inversion swaps the classes."""

    name = "planted-intensity"
    title = "the label is an intensity: inversion destroys it"
    classes = ("dark", "bright")
    optimum = MappingProxyType({"augment/invert/p": _NEVER})

    def _lost(self, genotype: Genotype) -> float:
        return 1 - majority_belief(float(genotype["augment/invert/p"]))

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        signal = np.zeros((size, size, size))
        for d, h, w in rng.integers(0, size - 2, (6, 3)):
            signal[d : d + 2, h : h + 2, w : w + 2] = 0.4 if label else -0.4
        return signal


class Symmetry(PlantedDataset):
    """One of six patterns of 27 cells for each class, mirrored at random along each axis.

    Each class looks 48 ways, so that few samples show most of them once or never. Flips turn every
    sample into all eight of its pattern.
    """

    name = "planted-symmetry"
    title = "few samples of mirrored shapes: flips along all three axes help"
    classes = ("first", "second")
    optimum = MappingProxyType({f"augment/{axis}_flip/p": _OFTEN for axis in "vhd"})
    settings_model = SymmetrySettings

    GAIN = 0.3
    """What the three flips together are worth, in accuracy; see tests/benchmarks/planted.py."""

    _PATTERNS, _CELLS, _CELL = 6, 3, 3

    def _lost(self, genotype: Genotype) -> float:
        missing = sum(genotype[path] not in keys for path, keys in self.optimum.items())
        return round(self.GAIN * missing / len(self.optimum), 9)

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        # The same patterns whatever the seed of the volumes: they are the problem.
        shape = (2, self._PATTERNS, self._CELLS, self._CELLS, self._CELLS)
        patterns = np.random.default_rng(0).integers(0, 2, shape) * 2 - 1
        pattern = patterns[label, rng.integers(self._PATTERNS)]
        mirrored = np.flip(pattern, tuple(axis for axis in range(3) if rng.random() < 0.5))
        block = np.kron(mirrored, np.ones((self._CELL,) * 3))
        return placed(0.3 * block, self.settings.size, rng)
