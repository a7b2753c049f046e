"""A block: one convolution beside a skip connection."""

from torch import nn

from medpipe_core import ValueChoice


class ResidualConv(nn.Module):
    """x + ReLU(BN(conv(x))), channels and shape kept."""

    kernel = ValueChoice(1, 3, ge=1, unit="voxels", description="edge length, odd")

    def __init__(self, in_channels, *, kernel: int = 3):
        super().__init__()
        self.out_channels = in_channels
        self.layers = nn.Sequential(
            nn.Conv3d(in_channels, in_channels, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm3d(in_channels),
            nn.ReLU(),
        )

    def forward(self, volumes):
        return volumes + self.layers(volumes)
