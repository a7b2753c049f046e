from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.grad import conv3d_weight

from medpipe_plugins.blocks3d import weight_gradient
from medpipe_plugins.blocks3d.weight_gradient import depthwise_weight_gradient


def pair(*shape):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last_3d)
        for _ in range(2)
    )


def reference(x, y, kernel):
    shape = (x.shape[1], 1, kernel, kernel, kernel)
    return conv3d_weight(x.double(), shape, y.double(), padding=kernel // 2, groups=x.shape[1])


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("shape", [(2, 19, 6, 5, 4), (1, 1, 1, 1, 1), (3, 16, 2, 9, 3)])
def test_it_is_the_gradient_of_double_precision(kernel, shape):
    pytest.importorskip("numba")
    x, y = pair(*shape)
    found = depthwise_weight_gradient(x, y, kernel)
    torch.testing.assert_close(found.double(), reference(x, y, kernel), rtol=1e-4, atol=1e-4)


def test_without_numba_the_gradient_is_the_same_up_to_rounding(monkeypatch):
    monkeypatch.setattr(weight_gradient, "has_numba", lambda: False)
    x, y = pair(2, 19, 6, 5, 4)
    found = depthwise_weight_gradient(x, y, 5)
    torch.testing.assert_close(found.double(), reference(x, y, 5), rtol=1e-4, atol=1e-4)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    pytest.importorskip("numba")
    x, y = pair(2, 50, 6, 5, 4)
    alone = depthwise_weight_gradient(x, y, 3)
    monkeypatch.setattr(weight_gradient, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(depthwise_weight_gradient(x, y, 3), alone)


def test_a_layer_trains_alike_with_and_without_numba(monkeypatch):
    pytest.importorskip("numba")
    from medpipe_plugins.blocks3d import DepthwiseConv3d

    found = {}
    for there in (True, False):
        monkeypatch.setattr(weight_gradient, "has_numba", lambda there=there: there)
        layer = DepthwiseConv3d(4, 3)
        nn.init.ones_(layer.weight)
        layer(torch.arange(4 * 5**3, dtype=torch.float32).view(1, 4, 5, 5, 5)).sum().backward()
        found[there] = layer.weight.grad
    torch.testing.assert_close(found[True], found[False])
