"""A second family of problems of augmentation: handedness, half a symmetry, and turns."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.planted.problem import PlantedDataset, majority_belief, placed
from medpipe_plugins.planted.settings import MixedSettings, TurnSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core import Genotype

_NEVER = frozenset({"0"})
_OFTEN = frozenset({"0.5"})


class Handed(PlantedDataset):
    """A screw about the depth axis that is right- or left-handed: any mirror exchanges them.

    Turns within the slice and a little noise change nothing that matters.
    """

    name = "planted-handed"
    title = "the label is a handedness: a V-flip destroys it, turns do not"
    classes = ("right-handed", "left-handed")
    optimum = MappingProxyType({"augment/v_flip/p": _NEVER})

    _PITCH = 8  # voxels along the depth for a whole turn

    def _lost(self, genotype: Genotype) -> float:
        return 1 - majority_belief(float(genotype["augment/v_flip/p"]))

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        across = np.arange(size) - (size - 1) / 2
        angle = np.arctan2(across[:, None], across[None, :])
        along = 2 * np.pi * np.arange(size) / self._PITCH
        screw = angle + (along if label else -along)[:, None, None]
        return np.asarray(0.4 * np.cos(screw + rng.uniform(0, 2 * np.pi)))


class Mixed(PlantedDataset):
    """Patterns that are mirrored at random along two axes; along the third lies the class.

    The second class has the patterns of the first upside down. So a V-flip exchanges the classes,
    and flips along the other two axes turn every one of few samples into all four of its pattern.
    """

    name = "planted-mixed"
    title = "V-flips destroy the label, flips along the other axes help few samples"
    classes = ("upright", "upside down")
    optimum = MappingProxyType(
        {"augment/v_flip/p": _NEVER, "augment/h_flip/p": _OFTEN, "augment/d_flip/p": _OFTEN}
    )
    settings_model = MixedSettings

    GAIN = 0.2
    """What the two flips together are worth, in accuracy; see tests/benchmarks/planted.py."""

    _PATTERNS, _CELLS, _CELL = 3, 3, 3

    def _lost(self, genotype: Genotype) -> float:
        missing = sum(genotype[f"augment/{axis}_flip/p"] not in _OFTEN for axis in "hd")
        gained = majority_belief(float(genotype["augment/v_flip/p"])) - self.GAIN * missing / 2
        return round(1 - max(gained, 0.0), 9)

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        # The same patterns whatever the seed of the volumes: they are the problem.
        shape = (self._PATTERNS, self._CELLS, self._CELLS, self._CELLS)
        patterns = np.random.default_rng(1).integers(0, 2, shape) * 2 - 1
        pattern = patterns[rng.integers(self._PATTERNS)]
        pattern = np.flip(pattern, 1) if label else pattern
        mirrored = np.flip(pattern, tuple(axis for axis in (0, 2) if rng.random() < 0.5))
        block = np.kron(mirrored, np.ones((self._CELL,) * 3))
        return placed(0.3 * block, self.settings.size, rng)


class Turn(PlantedDataset):
    """Spots about the depth axis, each class with patterns of its own, turned by any angle.

    Few samples show few angles. Turns within the slice show all of them.
    """

    name = "planted-turn"
    title = "few samples of turned shapes: turns about the depth axis help"
    classes = ("first", "second")
    optimum = MappingProxyType({"augment/d_rotation/p": _OFTEN})
    settings_model = TurnSettings

    GAIN = 0.12
    """What the turns are worth, in accuracy; see tests/benchmarks/planted.py."""

    _PATTERNS, _SPOTS, _WIDTH = 4, 5, 1.2

    def _lost(self, genotype: Genotype) -> float:
        return 0.0 if genotype["augment/d_rotation/p"] in _OFTEN else self.GAIN

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        every = np.random.default_rng(2).uniform(0, 1, (2, self._PATTERNS, self._SPOTS, 3))
        spots = every[label, rng.integers(self._PATTERNS)]
        angles = 2 * np.pi * spots[:, 0] + rng.uniform(0, 2 * np.pi)
        radii = (0.15 + 0.27 * spots[:, 1]) * size
        across = np.arange(size) - (size - 1) / 2
        h, w = across[:, None], across[None, :]
        slice_ = np.zeros((size, size))
        for angle, radius, bright in zip(angles, radii, spots[:, 2] > 0.5, strict=True):
            apart = (h - radius * np.sin(angle)) ** 2 + (w - radius * np.cos(angle)) ** 2
            slice_ += (0.5 if bright else -0.5) * np.exp(-apart / (2 * self._WIDTH**2))
        return np.broadcast_to(slice_, (size, size, size))
