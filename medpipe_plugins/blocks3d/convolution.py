"""The plain 3D convolution of the stem and the calibration layers."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from pydantic import Field
from torch import Tensor, nn

from medpipe_core import widths
from medpipe_plugins.blocks3d.normalisation import BatchNormReLU6, InstanceNormReLU6
from medpipe_plugins.watching import watched

Channels = Annotated[int, Ge(1), Field(description="channels that go out")]
Kernel = Annotated[int, Ge(1), Field(description="odd edge length of the kernel, in voxels")]
Stride = Annotated[int, Ge(1), Field(description="step of the kernel, in voxels")]
Normalisation = Annotated[
    Literal["batch", "instance"],
    Field(description="over the volumes of a batch, or of each volume alone"),
]
NORMALISATIONS = {"batch": BatchNormReLU6, "instance": InstanceNormReLU6}


@widths("channels")
class Conv3DBlock(nn.Module):
    """3D convolution → normalisation → ReLU6 (paper, section III-A: stem, calibration).

    Maps `(batch, in_channels, D, H, W)` to `(batch, channels, ⌈D/stride⌉, ⌈H/stride⌉, ⌈W/stride⌉)`
    in channels-last memory order, which the layers after it are faster in.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
        kernel: Odd edge length of the kernel, in voxels.
        stride: Step of the kernel, in voxels, for all three axes.
        normalisation: The paper's is over the batch.

    Raises:
        ValueError: The kernel is even.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: Channels,
        kernel: Kernel = 3,
        stride: Stride = 1,
        normalisation: Normalisation = "batch",
    ) -> None:
        require_odd(kernel)
        super().__init__()
        self.out_channels = channels
        self.convolution = nn.Conv3d(
            in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.normalisation = NORMALISATIONS[normalisation](channels)

    def forward(self, volumes: Tensor) -> Tensor:
        """Apply the layers."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            volumes = channels_last(volumes)
        output: Tensor = self.normalisation(self.convolution(volumes))
        return output


@widths()
class ResidualConv3D(nn.Module):
    """Input + (3D convolution → normalisation → ReLU6): a dense layer that keeps its shape.

    On a CPU a dense convolution of few channels takes less time for its multiply-adds than a
    depthwise one, which waits for memory.

    Args:
        in_channels: Channels that come in, and go out.
        kernel: Odd edge length of the kernel, in voxels.
        normalisation: Over the volumes of a batch, or of each volume alone.

    Raises:
        ValueError: The kernel is even.
    """

    def __init__(
        self, in_channels: int, *, kernel: Kernel = 3, normalisation: Normalisation = "batch"
    ) -> None:
        super().__init__()
        self.layer = Conv3DBlock(
            in_channels, channels=in_channels, kernel=kernel, normalisation=normalisation
        )
        self.out_channels = in_channels

    def forward(self, volumes: Tensor) -> Tensor:
        """Add what the layer finds to `(batch, in_channels, D, H, W)`."""
        output: Tensor = volumes + self.layer(volumes)
        return output


def require_odd(kernel: int) -> None:
    """Refuse kernels that have no centre: they would move the volume, or change its size.

    Raises:
        ValueError: The edge is even.
    """
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, so that it has a centre, but is {kernel}")


def channels_last(volumes: Tensor) -> Tensor:
    """Return the volumes in channels-last order, also by their strides.

    One channel lies in either order; by its strides torch decides in which one the convolution's
    result will lie. Where they are traced or transformed strides are not known, and their order is
    left to whoever does that.
    """
    if watched(volumes) and not torch.compiler.is_compiling():
        return volumes
    batch, channels, *size = volumes.shape
    if channels == 1:
        return volumes.reshape(batch, *size, 1).permute(0, 4, 1, 2, 3)
    return volumes.contiguous(memory_format=torch.channels_last_3d)
