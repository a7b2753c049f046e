"""A plugin whose registering waits for torch."""

import torch

from medpipe_core import hookimpl


@hookimpl
def medpipe_register(registry):
    registry.register("block", "acme-conv", torch.nn.Conv3d, summary="a convolution")
