from __future__ import annotations

import pytest
import torch
from torch import nn

from medpipe_plugins.baselines.resnet import ACSConv3d
from medpipe_plugins.blocks3d import Conv3DBlock, IdentityBlock, MBConv3D


def test_mbconv_is_expand_depthwise_project_with_no_activation_at_the_end():
    layers = [
        type(m) for m in MBConv3D(4, kernel=5, expansion=3).modules() if not list(m.children())
    ]
    assert [layer.__name__ for layer in layers] == [
        "PointwiseConv3d", "BatchNorm3d", "ReLU6", "DepthwiseConv3d", "BatchNorm3d", "ReLU6",
        "PointwiseConv3d", "BatchNorm3d",
    ]  # fmt: skip


def test_mbconv_has_the_parameters_that_the_paper_implies():
    c, k, e = 32, 5, 3
    inner = c * e
    expected = c * inner + inner * k**3 + inner * c + 2 * (inner + inner + c)
    assert sum(p.numel() for p in MBConv3D(c, kernel=k, expansion=e).parameters()) == expected


@pytest.mark.parametrize("stride", [1, 2])
def test_shapes_follow_channels_and_stride(stride):
    volumes = torch.rand(2, 3, 7, 8, 9)
    shape = tuple(-(-edge // stride) for edge in (7, 8, 9))
    assert Conv3DBlock(3, channels=5, stride=stride)(volumes).shape == (2, 5, *shape)
    block = MBConv3D(3, kernel=3, expansion=2, channels=5, stride=stride)
    assert block(volumes).shape == (2, 5, *shape)
    assert block.out_channels == 5


def test_the_identity_gives_x_and_not_twice_x():
    volumes = torch.rand(2, 3, 4, 4, 4)
    block = IdentityBlock(3)
    assert block.out_channels == 3
    assert torch.equal(block(volumes), volumes)


def test_mbconv_adds_no_skip_connection():
    block = MBConv3D(3, kernel=3, expansion=2).eval()
    nn.init.zeros_(block.project[0].weight)
    assert torch.equal(block(torch.rand(1, 3, 4, 4, 4)), torch.zeros(1, 3, 4, 4, 4))


def test_a_residual_mbconv_adds_its_input_where_shapes_agree():
    volumes = torch.rand(1, 3, 4, 4, 4)
    block = MBConv3D(3, kernel=3, expansion=2, residual=True).eval()
    nn.init.zeros_(block.project[0].weight)
    assert torch.equal(block(volumes), volumes)
    assert not MBConv3D(3, kernel=3, expansion=2, channels=5, residual=True).residual
    assert not MBConv3D(3, kernel=3, expansion=2, stride=2, residual=True).residual


@pytest.mark.parametrize("kernel", [2, 4, 6])
def test_kernels_without_a_centre_are_refused(kernel):
    for make in (
        lambda: Conv3DBlock(3, channels=5, kernel=kernel),
        lambda: MBConv3D(3, kernel=kernel, expansion=2),
        lambda: ACSConv3d(3, 5, kernel, 1),
    ):
        with pytest.raises(ValueError, match=f"kernel must be odd.* is {kernel}"):
            make()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_odd_kernels_keep_the_size_up_to_the_stride(kernel, stride):
    size = (5, 6, 7)
    shape = (1, 4, *(-(-edge // stride) for edge in size))
    for block in (
        Conv3DBlock(3, channels=4, kernel=kernel, stride=stride),
        MBConv3D(3, kernel=kernel, expansion=2, channels=4, stride=stride),
    ):
        assert block.eval()(torch.rand(1, 3, *size)).shape == shape
