"""A convolution that looks at planes of equal depth, each for itself."""

from __future__ import annotations

from torch import Tensor, nn

from medpipe_core import widths


@widths("channels")
class PlaneConv(nn.Module):
    """1 × k × k convolution → batch normalisation → ReLU6: every plane of equal depth for itself.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
        kernel: Odd edge length of the kernel in height and width, in voxels.
    """

    def __init__(self, in_channels: int, *, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.out_channels = channels
        shape, padding = (1, kernel, kernel), (0, kernel // 2, kernel // 2)
        self.layers = nn.Sequential(
            nn.Conv3d(in_channels, channels, shape, padding=padding, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU6(),
        )

    def forward(self, volumes: Tensor) -> Tensor:
        """Apply the three layers; `(batch, channel, D, H, W)`, D, H and W kept."""
        output: Tensor = self.layers(volumes)
        return output
