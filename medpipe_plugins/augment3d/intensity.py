"""Noise, blur, inversion and colour jitter: operations that change intensities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from medpipe_plugins.augment3d import magnitudes
from medpipe_plugins.augment3d.base import exact, require, uniform
from medpipe_plugins.augment3d.filtering import Add, Clamp, Contrast, Filter3D, Linear, Smooth

if TYPE_CHECKING:
    from torch import Tensor

    from medpipe_plugins.augment3d.filtering import Change


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
        """Draw the noise itself, of the volumes' shape."""
        self.check(volumes)
        dtype = exact(volumes.dtype)  # so that half precision draws the same
        unit = torch.randn(volumes.shape, generator=generator, device=generator.device, dtype=dtype)
        return unit.mul_(self.std)

    def steps(self, noise: Tensor) -> tuple[Change, ...]:
        """Add."""
        return (Add(noise),)


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
        sigma = uniform(count, *self.sigma, generator)
        numbers = torch.arange(kernel, device=sigma.device, dtype=sigma.dtype)
        offsets = numbers - (kernel - 1) / 2
        return torch.softmax(-0.5 * (offsets / sigma[:, None]) ** 2, 1)

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
        device, single = generator.device, torch.float32
        return torch.full((count,), float(max_value), device=device, dtype=single)

    def steps(self, max_value: Tensor) -> tuple[Change, ...]:
        """Subtract from the largest value."""
        return (Linear(-torch.ones_like(max_value), max_value),)


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
        return (
            uniform(count, max(0.0, 1 - brightness), 1 + brightness, generator),
            uniform(count, max(0.0, 1 - contrast), 1 + contrast, generator),
        )

    def steps(self, brightness: Tensor, contrast: Tensor) -> tuple[Change, ...]:
        """Scale brightness, then contrast about each volume's mean."""
        clamp = Clamp(len(brightness))
        brighter = Linear(brightness, torch.zeros_like(brightness))
        return (brighter, clamp, Contrast(contrast), clamp)
