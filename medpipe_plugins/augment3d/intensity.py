"""Noise, blur, inversion and colour jitter: operations that change intensities."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import ALIKE, between, require
from medpipe_plugins.augment3d.changes import Clamp, Contrast, Gaussian, Linear, Smooth, SmoothAxes
from medpipe_plugins.augment3d.filtering import Filter3D

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medpipe_plugins.augment3d.changes import Change


_DIGIT = 2**24  # of a seed: as many numbers are told apart by one that is uniform in float32


class Noise(Filter3D):
    """Adds Gaussian noise of mean 0, independent in every voxel; the sum is not clamped.

    Args:
        std: Standard deviation of the noise, in units of the intensity range.

    Raises:
        MagnitudeError: `std` is negative.
    """

    changes = frozenset({"texture"})
    uniforms = 2

    def __init__(self, *, std: float = 0.05) -> None:
        require(std >= 0, self, "a standard deviation of at least 0", std=std)
        self.std = std

    def from_uniforms(self, numbers: NDArray[np.float32]) -> NDArray[np.int64]:
        """Draw a seed of each volume's noise, int64, `(count,)`; the noise is made of it later.

        So all that is drawn before and after it is the same wherever the volumes are, and nothing
        of a volume's size is sent to a GPU. The noise itself differs between kinds of device, as
        each makes random numbers in its own way.
        """
        return seeds_of(numbers)

    def steps(self, seeds: Any) -> tuple[Change, ...]:
        """Add."""
        return (Gaussian(self.std, seeds),)


def seeds_of(numbers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Make a seed in [0, 2⁴⁸) of every two uniform numbers, `(count, 2)`."""
    digits = (numbers * _DIGIT).astype(np.int64)
    seeds: NDArray[np.int64] = digits[:, 0] * _DIGIT + digits[:, 1]
    return seeds


class Blur(Filter3D):
    """Gaussian blur with a cubic kernel, edges repeated.

    The standard deviation is uniform in `sigma` for each volume, in voxels. The shape is kept. An
    odd kernel keeps the content's place. An even one has no centre voxel: it reaches one voxel
    further backwards than forwards, as scipy's `correlate1d` does, and so moves the content by
    half a voxel towards higher indices along each axis, whatever its length.

    Where voxels are no cubes, `voxel_spacing` counts and a volume is blurred alike in millimetres:
    voxels are those of the finest axis. Along a coarser one the deviation has as many fewer of its
    voxels, and an even kernel goes without the voxel that it reaches further, so that the content
    is not moved by half of a thick slice.

    Attributes:
        kernel: Edge length of the kernel, in voxels.

    Args:
        sigma: Bounds of the standard deviation, in voxels.

    Raises:
        MagnitudeError: A bound of `sigma` is not above 0.
    """

    changes = frozenset({"texture"})
    uniforms = 1

    kernel = magnitudes.BLUR_KERNEL

    def __init__(self, *, sigma: tuple[float, float] = (0.1, 2.0)) -> None:
        require(min(sigma) > 0, self, "standard deviations above 0", sigma=sigma)
        self.sigma = sigma

    def from_uniforms(self, numbers: NDArray[np.float32], *, kernel: int) -> NDArray[np.float32]:
        """Draw the weights of each volume's kernel.

        Returns:
            `(count, kernel)`, along each axis; or `(count, 3, kernel)`, along depth, height and
            width, where voxels are no cubes.

        Raises:
            MagnitudeError: `kernel` is not a whole number of at least 1.
        """
        require(kernel >= 1 and kernel % 1 == 0, self, "a whole kernel edge", kernel=kernel)
        return self.weights(between(numbers[:, 0], *self.sigma), kernel)

    def weights(self, sigma: NDArray[np.float32], kernel: int) -> NDArray[np.float32]:
        """Return the weights for each deviation, in voxels of the finest axis."""
        longer = _longer(self.voxel_spacing)
        if longer is None:
            return gaussian_weights(sigma, kernel)
        along = np.zeros((len(sigma), 3, kernel), np.float32)
        for axis, ratio in enumerate(longer):
            # Of an even kernel, the first neighbour is the one that is further away.
            first = 0 if ratio == 1 or kernel % 2 else 1
            narrower = sigma / np.float32(ratio)
            along[:, axis, first:] = gaussian_weights(narrower, kernel - first)
        return along

    def steps(self, weights: Any) -> tuple[Change, ...]:
        """Smooth along depth, height and width in turn."""
        return (Smooth(weights) if weights.ndim == 2 else SmoothAxes(weights),)


def _longer(spacing: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Return how many times each axis's voxels are as long as the finest's; None for cubes."""
    if spacing is None:
        return None
    ratios = [length / min(spacing) for length in spacing]
    alike = tuple(1.0 if ratio < 1 + ALIKE else ratio for ratio in ratios)
    return None if set(alike) == {1.0} else alike


def gaussian_weights(sigma: NDArray[np.float32], kernel: int) -> NDArray[np.float32]:
    """Return the weights of so many neighbours for each deviation, in voxels, `(count, kernel)`."""
    weights: NDArray[np.float32] = np.exp(_farther(kernel) * (0.5 / sigma**2)[:, None])
    weights /= weights.sum(1, keepdims=True)
    return weights


@functools.cache
def _farther(kernel: int) -> NDArray[np.float32]:
    """Return by how much the square of each neighbour's distance is above the least, negated.

    Above the least: else all weights of a narrow even kernel would be 0.
    """
    squares = (np.arange(kernel, dtype=np.float32) - (kernel - 1) / 2) ** 2
    farther: NDArray[np.float32] = squares.min() - squares
    farther.flags.writeable = False  # it is handed out again
    return farther


class Invert(Filter3D):
    """Inverts intensities: v becomes max_value − v, as kornia's `invert`.

    Nothing is clamped, so what was brighter than `max_value` becomes negative, and inverting twice
    gives the volume back.

    Attributes:
        max_value: What 0 becomes.
    """

    changes = frozenset({"intensity"})
    uniforms = 0

    max_value = magnitudes.INVERT_MAX_VALUE

    def from_uniforms(
        self, numbers: NDArray[np.float32], *, max_value: float
    ) -> NDArray[np.float32]:
        """Draw nothing: return `max_value` for each volume."""
        return np.full(len(numbers), max_value, np.float32)

    def steps(self, max_value: Any) -> tuple[Change, ...]:
        """Subtract from the largest value."""
        return (Linear(-1.0, max_value),)


class ColorJitter(Filter3D):
    """Changes brightness, then contrast, clamping to [0, 1] after each.

    v · b with b uniform in [1 − brightness, 1 + brightness], then m + c · (v − m) with m the mean
    of the volume and c uniform in [1 − contrast, 1 + contrast]; lower bounds are at least 0. Both
    are torchvision's definitions; the order is always this one.

    Attributes:
        brightness: Largest change of brightness, as a share.
        contrast: Largest change of contrast, as a share.
    """

    changes = frozenset({"intensity"})
    uniforms = 2

    brightness = magnitudes.JITTER_BRIGHTNESS
    contrast = magnitudes.JITTER_CONTRAST

    def from_uniforms(
        self, numbers: NDArray[np.float32], *, brightness: float, contrast: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw one factor of brightness and one of contrast for each volume."""
        brighter = between(numbers[:, 0], max(0.0, 1 - brightness), 1 + brightness)
        steeper = between(numbers[:, 1], max(0.0, 1 - contrast), 1 + contrast)
        return brighter, steeper

    def steps(self, brightness: Any, contrast: Any) -> tuple[Change, ...]:
        """Scale brightness, then contrast about each volume's mean."""
        clamp = Clamp(len(brightness))
        return (Linear(brightness, 0.0), clamp, Contrast(contrast), clamp)
