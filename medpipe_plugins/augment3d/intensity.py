"""Noise, blur, inversion and colour jitter: operations that change intensities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import numbers, require
from medpipe_plugins.augment3d.changes import Clamp, Contrast, Gaussian, Linear, Smooth
from medpipe_plugins.augment3d.filtering import Filter3D

if TYPE_CHECKING:
    from torch import Tensor

    from medpipe_plugins.augment3d.changes import Change


class Noise(Filter3D):
    """Adds Gaussian noise of mean 0, independent in every voxel; the sum is not clamped.

    Args:
        std: Standard deviation of the noise, in units of the intensity range.

    Raises:
        MagnitudeError: `std` is negative.
    """

    changes = frozenset({"texture"})

    def __init__(self, *, std: float = 0.05) -> None:
        require(std >= 0, self, "a standard deviation of at least 0", std=std)
        self.std = std

    def draw_for(self, volumes: Tensor, generator: torch.Generator, **_: Any) -> Tensor:
        """Draw a seed of each volume's noise, int64, `(count,)`; the noise is made of it later.

        So all that is drawn before and after it is the same wherever the volumes are, and nothing
        of a volume's size is sent to a GPU. The noise itself differs between kinds of device, as
        each makes random numbers in its own way.
        """
        self.check(volumes)
        count, device = len(volumes), generator.device
        return torch.randint(2**62, (count,), generator=generator, device=device, dtype=torch.int64)

    def steps(self, seeds: Tensor) -> tuple[Change, ...]:
        """Add."""
        return (Gaussian(self.std, seeds),)


class Blur(Filter3D):
    """Gaussian blur with a cubic kernel, edges repeated.

    The standard deviation is uniform in `sigma` for each volume, in voxels. The shape is kept. An
    odd kernel keeps the content's place. An even one has no centre voxel: it reaches one voxel
    further backwards than forwards, as scipy's `correlate1d` does, and so moves the content by
    half a voxel towards higher indices along each axis, whatever its length.

    Attributes:
        kernel: Edge length of the kernel, in voxels.

    Args:
        sigma: Bounds of the standard deviation, in voxels.

    Raises:
        MagnitudeError: A bound of `sigma` is not above 0.
    """

    changes = frozenset({"texture"})

    kernel = magnitudes.BLUR_KERNEL

    def __init__(self, *, sigma: tuple[float, float] = (0.1, 2.0)) -> None:
        require(min(sigma) > 0, self, "standard deviations above 0", sigma=sigma)
        self.sigma = sigma

    def draw(self, count: int, generator: torch.Generator, *, kernel: int) -> Tensor:
        """Draw the weights of each volume's kernel along one axis, `(count, kernel)`.

        Raises:
            MagnitudeError: `kernel` is not a whole number of at least 1.
        """
        require(kernel >= 1 and kernel % 1 == 0, self, "a whole kernel edge", kernel=kernel)
        low, high = self.sigma
        sigma = numbers(count, low=low, high=high, generator=generator)
        offsets = np.arange(kernel, dtype=np.float32) - (kernel - 1) / 2
        return torch.softmax(torch.from_numpy(-0.5 * (offsets / sigma[:, None]) ** 2), 1)

    def steps(self, weights: Tensor) -> tuple[Change, ...]:
        """Smooth along depth, height and width in turn."""
        return (Smooth(weights),)


class Invert(Filter3D):
    """Inverts intensities: v becomes max_value − v, as kornia's `invert`.

    Nothing is clamped, so what was brighter than `max_value` becomes negative, and inverting twice
    gives the volume back.

    Attributes:
        max_value: What 0 becomes.
    """

    changes = frozenset({"intensity"})

    max_value = magnitudes.INVERT_MAX_VALUE

    def draw(self, count: int, generator: torch.Generator, *, max_value: float) -> Tensor:
        """Draw nothing: return `max_value` for each volume."""
        return torch.full((count,), float(max_value), dtype=torch.float32)

    def steps(self, max_value: Tensor) -> tuple[Change, ...]:
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

    brightness = magnitudes.JITTER_BRIGHTNESS
    contrast = magnitudes.JITTER_CONTRAST

    def draw(
        self, count: int, generator: torch.Generator, *, brightness: float, contrast: float
    ) -> tuple[Tensor, Tensor]:
        """Draw one factor of brightness and one of contrast for each volume."""
        brighter, steeper = (
            torch.from_numpy(
                numbers(count, low=max(0.0, 1 - most), high=1 + most, generator=generator)
            )
            for most in (brightness, contrast)
        )
        return brighter, steeper

    def steps(self, brightness: Tensor, contrast: Tensor) -> tuple[Change, ...]:
        """Scale brightness, then contrast about each volume's mean."""
        clamp = Clamp(len(brightness))
        return (Linear(brightness, 0.0), clamp, Contrast(contrast), clamp)
