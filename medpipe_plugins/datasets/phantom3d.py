"""phantom3d: a made-up dataset whose best possible accuracy is known.

Every volume holds one soft ellipsoid on an uneven, textured, noisy background. A latent number t,
the logarithm of its elongation, makes it a plate (t < 0), a ball (t near 0) or a rod (t > 0);
t is normal about −1, 0 or 1, by class, with a standard deviation that makes the classes overlap.
Its axis is near the vertical; tilt, place, size, contrast, background and noise vary and say
nothing about the class. Who could read t without error would decide by it alone, so the accuracy
of that decision is a ceiling for every classifier: `ceiling` computes it in closed form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

from medpipe_core import child_seed
from medpipe_core.data import (
    DatasetCard,
    Development,
    LabelledVolumes,
    Outline,
    SealedTest,
    check_room,
)
from medpipe_plugins.datasets.settings import PhantomSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("plate", "ball", "rod")
CENTRES = (-1.0, 0.0, 1.0)
SHARES = (0.3, 0.45, 0.25)
_LARGEST_TILT_DEGREES = 30.0
_FEWER = "give fewer with dataset.train, dataset.validation and dataset.test, or smaller ones"


class Phantom3D:
    """The dataset, made in process.

    Args:
        settings: Fields of `PhantomSettings`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = PhantomSettings(**settings)

    @property
    def card(self) -> DatasetCard:
        """What it says of itself, its ceiling included."""
        size = self.settings.size
        best = ceiling(self.settings.overlap)
        return DatasetCard(
            name="phantom3d",
            title="Procedural phantoms: plates, balls and rods",
            classes=CLASSES,
            channels=1,
            size=(size, size, size),
            source="made in process from a seed",
            licence="none needed",
            notes=(
                f"No classifier can be expected to exceed an accuracy of {best:.3f}: the classes "
                "overlap by construction.",
                f"Always answering {CLASSES[int(np.argmax(SHARES))]!r} scores {max(SHARES):.2f}.",
            ),
        )

    def development(self) -> Development:
        """Make the training and validation sets.

        Raises:
            DataError: They, and the test set, would not fit into the memory.
        """
        of = self.settings
        count = of.train + of.validation + of.test
        check_room(count * of.size**3, f"{count} volumes of {of.size}³ voxels", remedy=_FEWER)
        return Development(
            self._make("train", self.settings.train),
            self._make("validation", self.settings.validation),
        )

    def sealed_test(self) -> SealedTest:
        """Return the test set, made when it is opened."""
        outline = Outline((self.card.channels, *self.card.size), np.uint8, np.int64)
        return SealedTest(lambda: self._make("test", self.settings.test), outline=outline)

    def _make(self, part: str, count: int) -> LabelledVolumes:
        rng = np.random.default_rng(child_seed(self.settings.seed, "phantom3d", part))
        labels = rng.permutation(_labels(count))
        elongation = rng.normal(np.take(CENTRES, labels), self.settings.overlap)
        volumes = draw(elongation, self.settings.size, self.settings.noise, rng)
        return LabelledVolumes(volumes[:, None], labels)


def ceiling(overlap: float) -> float:
    """Return the accuracy of the best decision on the latent elongation (Bayes' rule).

    With priors π and normal densities of one standard deviation σ, neighbouring classes j < k part
    at (μj + μk)/2 + σ² ln(πj/πk)/(μk − μj).
    """
    bounds = [-np.inf]
    for j in range(len(CENTRES) - 1):
        distance = CENTRES[j + 1] - CENTRES[j]
        shift = overlap**2 * np.log(SHARES[j] / SHARES[j + 1]) / distance
        bounds.append((CENTRES[j] + CENTRES[j + 1]) / 2 + shift)
    bounds.append(np.inf)
    right = [
        share * (ndtr((high - centre) / overlap) - ndtr((low - centre) / overlap))
        for share, centre, low, high in zip(SHARES, CENTRES, bounds, bounds[1:], strict=False)
    ]
    return float(sum(right))


def draw(
    elongation: NDArray[np.float64], size: int, noise: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw volumes with these elongations, `(count, size, size, size)`, uint8.

    The semi-axes are r·e^(2t/3) along the ellipsoid's own axis and r·e^(−t/3) across it, so that
    elongation does not change its volume. Its axis is tilted from the vertical by up to 30 degrees
    in a random direction.
    """
    count = len(elongation)
    radius = rng.uniform(0.16, 0.24, count) * size
    axes = radius[:, None] * np.exp(np.outer(elongation, (-1 / 3, 2 / 3, -1 / 3)))
    rotation = _tilts(count, rng)
    centre = (size - 1) / 2 + rng.uniform(-0.12, 0.12, (count, 3)) * size
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1).reshape(-1, 3)
    volumes = np.empty((count, size, size, size), np.uint8)
    for index in range(count):
        offset = (grid - centre[index]) @ rotation[index] / axes[index]
        # Distance to the surface in voxels, roughly; half a voxel of partial volume either side.
        depth = (1 - np.linalg.norm(offset, axis=1)) * axes[index].min()
        body = (1 / (1 + np.exp(-np.clip(4 * depth, -30, 30)))).reshape(size, size, size)
        volumes[index] = _render(body, grid, size, noise, rng)
    return volumes


def _render(
    body: NDArray[np.float64],
    grid: NDArray[np.int64],
    size: int,
    noise: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    slope = rng.uniform(-0.1, 0.1, 3)
    bias = (grid / size - 0.5) @ slope
    texture = gaussian_filter(rng.standard_normal(body.shape), 1.5)
    texture *= 0.05 / texture.std()
    base, contrast = rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.4)
    volume = base + bias.reshape(body.shape) + texture + contrast * body
    volume += noise * rng.standard_normal(body.shape)
    return (np.clip(volume, 0, 1) * 255).round().astype(np.uint8)


def _labels(count: int) -> NDArray[np.int64]:
    bounds = np.round(np.cumsum((0, *SHARES)) * count).astype(int)
    return np.repeat(np.arange(len(SHARES)), np.diff(bounds)).astype(np.int64)


def _tilts(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return rotations that tilt the height axis, `(count, 3, 3)`, axes in order D, H, W."""
    angle = np.deg2rad(rng.uniform(0, _LARGEST_TILT_DEGREES, count))
    direction = rng.uniform(0, 2 * np.pi, count)
    about = np.stack((np.cos(direction), np.zeros(count), np.sin(direction)), 1)
    rotations: NDArray[np.float64] = Rotation.from_rotvec(angle[:, None] * about).as_matrix()
    return rotations
