from __future__ import annotations

import pytest
import torch
from torch import nn

from medpipe_plugins.blocks3d import DepthwiseConv3d


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_values_and_gradients_are_those_of_the_plain_convolution(kernel):
    ours = DepthwiseConv3d(6, kernel)
    plain = nn.Conv3d(6, 6, kernel, padding=kernel // 2, groups=6, bias=False).double()
    plain.load_state_dict(ours.state_dict())
    volumes = torch.randn(2, 6, 9, 8, 7)
    x, reference = volumes.clone().requires_grad_(), volumes.double().requires_grad_()
    weights = torch.randn_like(volumes)
    (ours(x) * weights).sum().backward()
    (plain(reference) * weights.double()).sum().backward()
    torch.testing.assert_close(ours(x).double(), plain(reference), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.grad.double(), reference.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad.double(), plain.weight.grad, rtol=1e-4, atol=1e-4)


def test_training_and_evaluation_give_the_same_bits():
    layer = DepthwiseConv3d(4, 3)
    volumes = torch.randn(2, 4, 6, 6, 6).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        evaluated = layer(volumes)
    assert torch.equal(layer(volumes), evaluated)


def test_stride_two_halves_each_axis_rounding_up():
    assert DepthwiseConv3d(2, 5, stride=2)(torch.rand(1, 2, 7, 8, 9)).shape == (1, 2, 4, 4, 5)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="must be odd"):
        DepthwiseConv3d(2, 4)


def test_a_second_derivative_is_refused_and_never_wrong():
    layer = DepthwiseConv3d(2, 3)
    x = torch.rand(1, 2, 5, 5, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_it_exports_as_the_plain_operator():
    layer = DepthwiseConv3d(2, 3).eval()
    volumes = torch.rand(1, 2, 5, 5, 5)
    exported = torch.export.export(layer, (volumes,))
    assert "conv3d" in str(exported.graph)
    torch.testing.assert_close(exported.module()(volumes), layer(volumes))
