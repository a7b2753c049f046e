"""Convolution of single voxels: on a GPU a product of matrices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medpipe_plugins.blocks3d.normalisation_gpu import on_gpu
from medpipe_plugins.watching import watched


class PointwiseConv3d(nn.Conv3d):
    """`nn.Conv3d(in_channels, channels, 1, bias=False)`, faster on a GPU in channels-last order.

    Weights, state and results are those of the plain layer, on a CPU bit for bit. On a GPU volumes
    that lie channels last are rows of a matrix already; they are multiplied by the weight, and
    what comes out lies channels last again, without a copy. In float32 the product is as precise
    as `torch.set_float32_matmul_precision` says. Where somebody has given it a bias or the like,
    and where the computation is traced, exported or transformed (`watched`), it is torch's
    operator.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Mix the channels of `(batch, in_channels, depth, height, width)`."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            output: Tensor = self._conv_forward(input, self.weight, self.bias)
        elif self._is_product(input):
            rows = F.linear(input.permute(0, 2, 3, 4, 1), self.weight.flatten(1))
            output = rows.permute(0, 4, 1, 2, 3)
        else:
            output = super().forward(input)
        return output

    def _is_product(self, volumes: Tensor) -> bool:
        return (
            not watched(volumes, self.weight)
            and on_gpu(volumes)
            and volumes.ndim == 5
            and volumes.shape[1] == self.in_channels
            and volumes.is_contiguous(memory_format=torch.channels_last_3d)
            and self.weight.is_contiguous()
            and self.bias is None
            and self.kernel_size == self.stride == (1, 1, 1)
            and self.padding == (0, 0, 0)
            and self.groups == 1
        )
