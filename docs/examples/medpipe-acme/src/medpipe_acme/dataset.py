"""A dataset: stripes along depth or along width, so that no flip changes the class."""

from typing import Annotated

import numpy as np
from annotated_types import Ge
from pydantic import BaseModel, Field

from medpipe_core.data import DatasetCard, Development, LabelledVolumes, SealedTest


class StripesSettings(BaseModel):
    """Parameters of `acme-stripes`."""

    size: Annotated[int, Ge(8)] = Field(12, description="edge length, in voxels")
    count: Annotated[int, Ge(8)] = Field(96, description="volumes of the training set")
    seed: int = Field(0, description="seed of the volumes")


class Stripes:
    """Volumes of noise with stripes; class 0 has them along depth, class 1 along width."""

    def __init__(self, **settings):
        self.settings = StripesSettings(**settings)

    @property
    def card(self):
        """Return what the dataset says of itself."""
        return DatasetCard(
            name="acme-stripes",
            title="Stripes",
            classes=("depth", "width"),
            channels=1,
            size=(self.settings.size,) * 3,
            source="made in process",
            licence="none needed",
        )

    def development(self):
        """Return training and validation data."""
        count = self.settings.count
        return Development(self._make(1, count), self._make(2, count // 4))

    def sealed_test(self):
        """Return the test set; the function in it is called once, at the very end of a run."""
        return SealedTest(lambda: self._make(3, self.settings.count // 2))

    def _make(self, part, count):
        rng = np.random.default_rng([self.settings.seed, part])
        size = self.settings.size
        labels = rng.permutation(np.arange(count) % 2)
        wave = np.sin(np.arange(size)[None] + rng.uniform(0, 2 * np.pi, (count, 1)))
        along_depth, along_width = wave[:, :, None, None], wave[:, None, None, :]
        stripes = np.where(labels[:, None, None, None] == 0, along_depth, along_width)
        volumes = 0.5 + 0.2 * stripes + 0.2 * rng.standard_normal((count, size, size, size))
        uint8 = (np.clip(volumes, 0, 1) * 255).round().astype(np.uint8)
        return LabelledVolumes(uint8[:, None], labels)
