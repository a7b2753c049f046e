"""Building blocks of 3D networks: dense convolutions, MBConv variants and the identity."""

from medpipe_plugins.blocks3d.convolution import Conv3DBlock, ResidualConv3D
from medpipe_plugins.blocks3d.depthwise import DepthwiseConv3d
from medpipe_plugins.blocks3d.mbconv import IdentityBlock, MBConv3D
from medpipe_plugins.blocks3d.normalisation import BatchNormReLU6, InstanceNormReLU6

__all__ = [
    "BatchNormReLU6",
    "Conv3DBlock",
    "DepthwiseConv3d",
    "IdentityBlock",
    "InstanceNormReLU6",
    "MBConv3D",
    "ResidualConv3D",
]
