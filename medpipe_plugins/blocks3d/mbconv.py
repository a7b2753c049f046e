"""Mobile inverted bottleneck convolution in 3D, and the identity that competes with it."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from pydantic import Field
from torch import Tensor, nn

from medpipe_core import widths
from medpipe_plugins.blocks3d.convolution import Kernel, Stride  # noqa: TC001 - read by help
from medpipe_plugins.blocks3d.depthwise import DepthwiseConv3d
from medpipe_plugins.blocks3d.normalisation import BatchNormReLU6, batch_norm
from medpipe_plugins.blocks3d.pointwise import PointwiseConv3d

Expansion = Annotated[int, Ge(1), Field(description="ratio of inner to incoming channels")]
Channels = Annotated[
    Annotated[int, Ge(1)] | None,
    Field(description="channels that go out; null for as many as come in"),
]
Residual = Annotated[bool, Field(description="add the input to the output where shapes agree")]


@widths("channels")
class MBConv3D(nn.Module):
    """MBConv k-e: 1³ conv → BN → ReLU6 → depthwise k³ conv → BN → ReLU6 → 1³ conv → BN.

    The last normalisation has no activation after it, and by default there is no skip connection
    (paper, section III-A and figure 1). At stride 1 it maps `(batch, in_channels, D, H, W)` to
    `(batch, channels, D, H, W)`.

    Args:
        in_channels: Channels that come in.
        kernel: k, odd edge length of the depthwise kernel, in voxels.
        expansion: e, ratio of inner channels to incoming channels.
        channels: Channels that go out; as many as come in by default.
        stride: Step of the depthwise kernel.
        residual: Add the input to the output where their shapes agree, as MobileNetV2 does. A deep
            stack without it hardly trains in a short time.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        kernel: Kernel,
        expansion: Expansion,
        channels: Channels = None,
        stride: Stride = 1,
        residual: Residual = False,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.out_channels = in_channels if channels is None else channels
        self.residual = residual and stride == 1 and self.out_channels == in_channels
        self.expand = nn.Sequential(PointwiseConv3d(in_channels, inner), BatchNormReLU6(inner))
        self.depthwise = nn.Sequential(
            DepthwiseConv3d(inner, kernel, stride), BatchNormReLU6(inner)
        )
        self.project = _Projection(
            PointwiseConv3d(inner, self.out_channels), nn.BatchNorm3d(self.out_channels)
        )

    def forward(self, volumes: Tensor) -> Tensor:
        """Apply the three stages."""
        output: Tensor = self.project(self.depthwise(self.expand(volumes)))
        return volumes + output if self.residual else output


class _Projection(nn.Sequential):
    """A convolution and `nn.BatchNorm3d`, which is faster on a GPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Apply the two."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            output = input
            for module in self:
                output = module(output)
        else:
            convolution, norm = self
            output = batch_norm(norm, convolution(input))
        return output


@widths()
class IdentityBlock(nn.Identity):
    """Gives its input as it is: a layer that is not there."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = in_channels
