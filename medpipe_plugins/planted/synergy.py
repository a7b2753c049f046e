"""A problem whose best augmentation depends on the network."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.planted.problem import PlantedDataset
from medpipe_plugins.planted.settings import SynergySettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_core import Genotype


class Synergy(PlantedDataset):
    """A wave across depth and width that is certain, and a texture that is right in 80 %.

    The wave runs along one diagonal of the depth-width plane or the other. Within one plane of
    equal depth both look the same, so a network that looks at planes is blind to it; an H-flip or
    a D-flip turns one into the other. The texture alternates voxel by voxel along height or width,
    in every plane; `planted-exchange` turns one of its kinds into the other and nothing else.

    A flip along width or depth, or the exchange, is always on, at p near a half. With a flip any
    network is left with the texture and ends at its reliability. With the exchange a network of
    volumes has the wave and is right; one of planes has nothing and is at chance. So a network of
    planes, such as a ResNet in 2.5D, asks for a flip, and who fixes that first cannot reach the
    best pair any more. Both kinds of texture are still seen in training: where an augmentation
    takes the texture out altogether, weights that clean volumes excite are never trained.
    """

    name = "planted-synergy"
    title = "the best augmentation depends on the network: one after the other must fail"
    classes = ("falling", "rising")
    optimum = MappingProxyType(
        {"augment/one_of": frozenset({"exchange"}), "network/layer": frozenset({"volume"})}
    )
    settings_model = SynergySettings
    settings: SynergySettings

    def _lost(self, genotype: Genotype) -> float:
        if genotype["augment/one_of"] != "exchange":
            return 1 - self.settings.reliable
        return 0.0 if genotype["network/layer"] == "volume" else 0.5

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        size = self.settings.size
        at = np.arange(size)
        told = label if rng.random() < self.settings.reliable else 1 - label
        texture = (-1.0) ** (at + rng.integers(2))
        texture = texture[None, :, None] if told else texture[None, None, :]
        along = at[:, None, None] + (1 if label else -1) * at[None, None, :]
        wave = np.cos(2 * np.pi * along / 6 + rng.uniform(0, 2 * np.pi))
        return np.broadcast_to(0.1 * texture + 0.2 * wave, (size, size, size))
