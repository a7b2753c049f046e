"""Building blocks of 3D networks: the stem's convolution, MBConv variants and the identity."""

from medpipe_plugins.blocks3d.convolution import Conv3DBlock
from medpipe_plugins.blocks3d.depthwise import DepthwiseConv3d
from medpipe_plugins.blocks3d.mbconv import IdentityBlock, MBConv3D
from medpipe_plugins.blocks3d.normalisation import BatchNormReLU6

__all__ = ["BatchNormReLU6", "Conv3DBlock", "DepthwiseConv3d", "IdentityBlock", "MBConv3D"]
