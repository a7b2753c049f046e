"""What planted problems have in common: data from a seed, and a regret for every genotype."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medpipe_core import child_seed
from medpipe_core.data import (
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
    SealedTest,
    check_room,
)
from medpipe_plugins.planted.settings import PlantedSettings

_BYTES = 3 * 8  # signal, noise and their sum, of each voxel
_FEWER = "give fewer with dataset.train, dataset.validation and dataset.test, or smaller ones"

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medpipe_core import Genotype


class PlantedDataset(ABC):
    """Two equally frequent classes that a known part of a known space can tell apart.

    Args:
        settings: Fields of `PlantedSettings`.

    Attributes:
        name: Name of the dataset and of its space.
        title: What is planted, in one line.
        classes: Names of the two classes.
        optimum: Choice path → keys that are right; choices that are not named do not matter.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    classes: ClassVar[tuple[str, str]]
    optimum: ClassVar[Mapping[str, frozenset[str]]]
    settings_model: ClassVar[type[PlantedSettings]] = PlantedSettings

    def __init__(self, **settings: Any) -> None:
        self.settings = self.settings_model(**settings)

    @property
    def card(self) -> DatasetCard:
        """What it says of itself, the planted answer included."""
        size = self.settings.size
        right = "; ".join(f"{p} = {' or '.join(sorted(k))}" for p, k in self.optimum.items())
        return DatasetCard(
            name=self.name,
            title=self.title,
            classes=self.classes,
            channels=1,
            size=(size, size, size),
            source="made in process from a seed",
            licence="none needed",
            notes=(f"The best answer of space {self.name} is known: {right}.",),
        )

    def development(self) -> Development:
        """Make the training and validation sets.

        Raises:
            DataError: One of the three parts would not fit into the memory while it is made.
        """
        of = self.settings
        count = max(of.train, of.validation, of.test)
        needed = count * of.size**3 * _BYTES
        check_room(needed, f"making {count} volumes of {of.size}³ voxels", remedy=_FEWER)
        return Development(
            self._make("train", self.settings.train),
            self._make("validation", self.settings.validation),
        )

    def sealed_test(self) -> SealedTest:
        """Return the test set, made when it is opened."""
        outline = Outline((self.card.channels, *self.card.size), np.uint8, np.int64)
        return SealedTest(lambda: self._make("test", self.settings.test), outline=outline)

    def regret(self, genotype: Genotype) -> float | None:
        """Return the accuracy a genotype gives away against the optimum, in [0, 1].

        None for genotypes of other spaces, whose best answer is not known.
        """
        return self._lost(genotype) if genotype.space == self.name else None

    @abstractmethod
    def _lost(self, genotype: Genotype) -> float:
        """Return the regret of a genotype of the right space."""

    @abstractmethod
    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        """Draw one volume's signal, `(size, size, size)`, to be added to mid-grey."""

    def _make(self, part: str, count: int) -> LabelledVolumes:
        rng = np.random.default_rng(child_seed(self.settings.seed, self.name, part))
        labels = rng.permutation(np.arange(count, dtype=np.int64) % 2)
        signal = np.stack([self._draw(int(label), rng) for label in labels])
        volumes = 0.5 + signal + rng.normal(0, self.settings.noise, signal.shape)
        stored = (np.clip(volumes, 0, 1) * 255).round().astype(np.uint8)
        return LabelledVolumes(stored[:, None], labels)


def majority_belief(p: float) -> float:
    """Return the accuracy on clean volumes where a share p of training labels is turned round.

    A classifier that fits such labels believes the majority: right below a half, at chance there,
    wrong above.
    """
    if p < 0.5:
        return 1.0
    return 0.5 if p == 0.5 else 0.0


def placed(
    block: NDArray[np.floating[Any]], size: int, rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    """Return a cube at a random place of an empty volume."""
    edge = len(block)
    signal = np.zeros((size,) * 3)
    start = rng.integers(0, size - edge + 1, 3)
    signal[tuple(slice(s, s + edge) for s in start)] = block
    return signal
