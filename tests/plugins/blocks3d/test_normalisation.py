from __future__ import annotations

import pytest
import torch
from torch import nn

from medpipe_plugins.blocks3d import MBConv3D
from medpipe_plugins.blocks3d.activation import OverwritingReLU6


def values():
    special = torch.tensor([-1.0, -0.0, 0.0, 1e-45, 3.0, 6.0, 6.0000005, 9.0, torch.nan])
    return torch.cat((special, 4 * torch.randn(100, generator=torch.Generator().manual_seed(0))))


def test_values_and_gradients_are_those_of_relu6_bit_for_bit():
    found = []
    for activation in (OverwritingReLU6(), nn.ReLU6()):
        leaf = values().requires_grad_()
        output = activation(leaf * 1)
        (gradient,) = torch.autograd.grad(output, leaf, torch.arange(len(leaf)) + 1.0)
        found.append((output, gradient))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0, equal_nan=True)


def test_it_writes_over_what_it_is_given_only_while_gradients_are_recorded():
    activation, given = OverwritingReLU6(), values()
    activation(given)
    assert given[0] == -1
    leaf = values().requires_grad_()
    with torch.no_grad():
        activation(leaf)
    activation(leaf)
    assert leaf[0] == -1
    before = leaf * 1
    assert activation(before).data_ptr() == before.data_ptr()


def test_an_earlier_layer_that_needs_its_result_fails_and_is_never_wrong():
    leaf = values().requires_grad_()
    output = OverwritingReLU6()(leaf.exp())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_second_derivatives_pass_through_it():
    leaf = torch.tensor([1.5], requires_grad=True)
    (first,) = torch.autograd.grad(OverwritingReLU6()(leaf * leaf * leaf), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first, leaf)
    assert (first.item(), second.item()) == (3 * 1.5**2, 6 * 1.5)


def test_a_block_trains_as_with_relu6_bit_for_bit():
    torch.manual_seed(0)
    block = MBConv3D(4, kernel=3, expansion=2)
    volumes = torch.randn(2, 4, 5, 5, 5)
    found = []
    for activation in (OverwritingReLU6, nn.ReLU6):
        block.expand[2] = block.depthwise[2] = activation()
        block.zero_grad()
        block(volumes).square().sum().backward()
        found.append([parameter.grad.clone() for parameter in block.parameters()])
    assert all(map(torch.equal, *found))


def test_it_exports_as_the_plain_operator():
    block = MBConv3D(4, kernel=3, expansion=2).eval()
    volumes = torch.rand(1, 4, 5, 5, 5)
    exported = torch.export.export(block, (volumes,))
    assert "_Overwriting" not in str(exported.graph)
    torch.testing.assert_close(exported.module()(volumes), block(volumes))
