"""ResNet18 for volumes with three kinds of convolution: 3D, 2.5D and ACS.

He et al., "Deep residual learning for image recognition", CVPR 2016, in the form that MedMNIST's
baselines have for 28³ volumes: a first convolution of 3 at stride 1, and no pooling after it (Yang
et al., "MedMNIST v2", Scientific Data 2023). The kinds of convolution are those of Yang et al.,
"Reinventing 2D convolutions for 3D images", IEEE JBHI 2021, which MedMNIST takes them from.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from medpipe_core import widths
from medpipe_plugins.blocks3d.convolution import channels_last, require_odd

_DEEPER = (1, 2, 4, 8)  # channels of a stage, in widths


class Convolution(Protocol):
    """Makes a convolution without bias that keeps the size at stride 1."""

    def __call__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, /
    ) -> nn.Module:
        """Make one; `kernel` is odd, `stride` the step along all three axes."""


@widths("width")
def resnet18_3d(*, in_channels: int, num_classes: int, width: int = 64) -> ResNet18:
    """Make a ResNet18 of k³ kernels; the arguments are those of `ResNet18`."""
    return ResNet18(_full, in_channels=in_channels, num_classes=num_classes, width=width)


@widths("width")
def resnet18_25d(*, in_channels: int, num_classes: int, width: int = 64) -> ResNet18:
    """Make a ResNet18 of 1 × k × k kernels; the arguments are those of `ResNet18`.

    No kernel reaches along the depth axis, but strides do: the logits are the mean over what every
    eighth slice says by itself, and depend on no other slice.
    """
    return ResNet18(_within_slices, in_channels=in_channels, num_classes=num_classes, width=width)


@widths("width")
def resnet18_acs(*, in_channels: int, num_classes: int, width: int = 64) -> ResNet18:
    """Make a ResNet18 of `ACSConv3d`; the arguments are those of `ResNet18`."""
    return ResNet18(ACSConv3d, in_channels=in_channels, num_classes=num_classes, width=width)


class ResNet18(nn.Module):
    """Eighteen layers: a stem, four stages of two blocks, and one linear layer.

    Maps `(batch, in_channels, depth, height, width)` to logits `(batch, num_classes)`. The second,
    third and fourth stage halve all three axes.

    Args:
        convolution: Makes every convolution.
        in_channels: Channels of a volume.
        num_classes: Logits of a volume.
        width: Channels of the stem and the first stage; each further stage doubles them.
    """

    def __init__(
        self, convolution: Convolution, *, in_channels: int, num_classes: int, width: int = 64
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolution(in_channels, width, 3, 1), nn.BatchNorm3d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage, deeper in enumerate(_DEEPER):
            for stride in (1 if stage == 0 else 2, 1):
                blocks.append(ResidualBlock(convolution, channels, deeper * width, stride))
                channels = deeper * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the logits."""
        features = self.stem(volumes)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            # In this order the layers after the stem take about two thirds of the time on a CPU.
            features = channels_last(features)
        features = self.blocks(features)
        logits: Tensor = self.head(features.flatten(2).mean(-1))
        return logits


class ResidualBlock(nn.Module):
    """conv → BN → ReLU → conv → BN, added to its input, then ReLU.

    Where the shapes differ, the input goes through a convolution of 1 and BN first.
    """

    def __init__(
        self, convolution: Convolution, in_channels: int, channels: int, stride: int
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(in_channels, channels, 3, stride),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            convolution(channels, channels, 3, 1),
            nn.BatchNorm3d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                convolution(in_channels, channels, 1, stride), nn.BatchNorm3d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Add what the block finds to what it was given."""
        return torch.relu(self.residual(features) + self.shortcut(features))


class ACSConv3d(nn.Module):
    """Convolution in the axial, coronal and sagittal plane, each giving a third of the channels.

    The kernels are 1 × k × k, k × 1 × k and k × k × 1, so it has the weights of a 2D convolution
    and sees along all three axes.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out, at least 3; the first planes give one more where they
            cannot be shared evenly.
        kernel: k, odd edge length, in voxels.
        stride: Step of the kernels along all three axes, in voxels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        require_odd(kernel)
        super().__init__()
        self.planes = nn.ModuleList(
            _convolution(in_channels, (out_channels + 2 - axis) // 3, size, stride)
            for axis, size in enumerate(
                ((1, kernel, kernel), (kernel, 1, kernel), (kernel, kernel, 1))
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the three planes' channels, one plane after the other."""
        return torch.cat([plane(features) for plane in self.planes], 1)


def _full(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Module:
    return _convolution(in_channels, out_channels, (kernel, kernel, kernel), stride)


def _within_slices(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Module:
    return _convolution(in_channels, out_channels, (1, kernel, kernel), stride)


def _convolution(
    in_channels: int, out_channels: int, size: tuple[int, int, int], stride: int
) -> nn.Module:
    depth, height, width = size
    padding = (depth // 2, height // 2, width // 2)
    return nn.Conv3d(in_channels, out_channels, size, stride, padding, bias=False)
