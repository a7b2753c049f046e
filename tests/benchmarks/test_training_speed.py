"""Depthwise convolutions train fast; bounds are loose, for machines that do other things."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from medpipe_plugins.blocks3d import DepthwiseConv3d
from medpipe_plugins.numba_extra import has_numba


@pytest.mark.slow
@pytest.mark.skipif(not has_numba(), reason="the bounds are of the extra `fast`, numba")
@pytest.mark.parametrize(("kernel", "bound"), [(3, 2), (5, 4), (7, 5)])
@pytest.mark.parametrize(("batch", "channels", "size"), [(2, 96, 14), (4, 48, 20)])
def test_a_step_is_faster_than_that_of_the_plain_convolution(batch, channels, size, kernel, bound):
    ours = DepthwiseConv3d(channels, kernel)
    plain = nn.Conv3d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    volumes = torch.rand(batch, channels, size, size, size, requires_grad=True)
    seconds = {ours: [], plain: []}
    for _ in range(5):  # the least of several turns is what the machine can do
        for layer, taken in seconds.items():
            began = time.process_time()
            layer(volumes).sum().backward()
            taken.append(time.process_time() - began)
    fast, slow = (min(taken) for taken in seconds.values())
    assert slow > bound * fast
