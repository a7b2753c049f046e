"""Batch normalisation's kernels for a GPU, in Triton's interpreter where there is none."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medpipe_plugins.blocks3d import (
    BatchNormReLU6,
    MBConv3D,
    depthwise,
    depthwise_gpu,
    depthwise_triton,
    normalisation_gpu,
    pointwise,
)
from medpipe_plugins.blocks3d import normalisation_triton as kernels
from medpipe_plugins.blocks3d.normalisation import batch_norm
from medpipe_plugins.blocks3d.pointwise import PointwiseConv3d
from medpipe_plugins.triton_extra import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="needs Triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAST = torch.channels_last_3d
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    for module in (normalisation_gpu, pointwise):
        monkeypatch.setattr(module, "on_gpu", lambda volumes: True)
    monkeypatch.setattr(normalisation_gpu, "_WORTH_LAUNCHING", 0)
    # Few rows and programs, so that tiny volumes have several.
    monkeypatch.setattr(kernels, "_ROWS", 16)
    monkeypatch.setattr(kernels, "_SLICES", 2)


def volumes_of(*shape, dtype=torch.float32, seed=0, offset=1.0):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + offset
    return drawn.to(DEVICE, dtype).contiguous(memory_format=torch.channels_last_3d)


def layer_of(channels, **settings_):
    layer = BatchNormReLU6(channels, **settings_).to(DEVICE)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for values in layer.parameters():
            values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return layer


def exact_of(layer):
    """Return the same in float64, by torch's modules."""
    norm = layer[0] if isinstance(layer, nn.Sequential) else layer
    return copy.deepcopy(norm).double()


def passes(function, volumes, parameters, dtype=torch.float32):
    """Return a pass's result and gradients.

    The gradient that goes in is rounded to `dtype` for both, since a
    layer's weights sum it up and what is left may be small.
    """
    volumes = volumes.detach().requires_grad_()
    output = function(volumes)
    gradient = volumes_of(*output.shape, dtype=dtype, seed=9).to(output.dtype)
    found = torch.autograd.grad(output, (volumes, *parameters), gradient)
    return [output.detach(), *found]


def assert_close(found, true, dtype):
    for ours, exact in zip(found, true, strict=True):
        allowed = ROUNDING[dtype] * (exact.abs() + exact.abs().amax())
        assert ((ours.double() - exact).abs() <= allowed).all()


@settings(max_examples=5, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), *[st.integers(1, 4)] * 3).filter(
        lambda s: s[0] * s[2] * s[3] * s[4] > 3
    ),
    dtype=st.sampled_from(list(ROUNDING)),
    clips=st.booleans(),
)
def test_results_gradients_and_running_statistics_are_those_of_torch(shape, dtype, clips):
    layer = layer_of(shape[1])
    norm, exact = layer[0], exact_of(layer)
    volumes = volumes_of(*shape, dtype=dtype)
    found = passes(
        layer if clips else lambda v: batch_norm(norm, v),
        volumes,
        list(norm.parameters()),
        dtype,
    )
    assert found[0].dtype == found[1].dtype == dtype
    assert found[0].is_contiguous(memory_format=torch.channels_last_3d)
    true = passes(
        (lambda v: F.relu6(exact(v))) if clips else exact,
        volumes.double(),
        list(exact.parameters()),
        dtype,
    )
    if dtype == torch.float32 or not clips:  # a rounded value may lie on the limit
        assert_close(found, true, dtype)
    assert_close(found[:1], true[:1], dtype)
    assert norm.num_batches_tracked == 1
    assert_close(
        (norm.running_mean, norm.running_var), (exact.running_mean, exact.running_var),
        torch.float32,
    )  # fmt: skip


def test_a_cumulative_average_is_followed_on_the_device():
    layer = layer_of(3, momentum=None)
    exact = exact_of(layer)
    for seed in range(3):
        volumes = volumes_of(2, 3, 2, 3, 2, seed=seed)
        layer(volumes)
        exact(volumes.double())
    assert layer[0].num_batches_tracked == 3
    torch.testing.assert_close(layer[0].running_mean.double(), exact.running_mean, rtol=1e-5,
                               atol=1e-5)  # fmt: skip
    torch.testing.assert_close(layer[0].running_var.double(), exact.running_var, rtol=1e-5,
                               atol=1e-5)  # fmt: skip


def test_statistics_that_are_not_tracked_are_left_alone():
    layer = layer_of(3)
    layer[0].track_running_stats = False
    before = copy.deepcopy(layer.state_dict())
    layer(volumes_of(2, 3, 2, 3, 2))
    for name, values in layer.state_dict().items():
        assert torch.equal(values, before[name]), name


@pytest.mark.parametrize("dtype", list(ROUNDING))
def test_evaluation_uses_the_running_statistics(dtype):
    layer = layer_of(5)
    layer(volumes_of(2, 5, 2, 3, 3))
    layer.eval()
    volumes = volumes_of(2, 5, 3, 2, 3, dtype=dtype, seed=4)
    with torch.no_grad():
        found, true = layer(volumes), F.relu6(exact_of(layer)(volumes.double()))
    assert found.dtype == dtype
    assert_close([found], [true], dtype)
    # With gradients it is torch's.
    torch.testing.assert_close(layer(volumes), found, rtol=0.02, atol=0.02)


def test_far_from_zero_little_is_lost():
    layer, volumes = layer_of(2), volumes_of(2, 2, 3, 3, 3, offset=1e4)
    true = F.relu6(exact_of(layer)(volumes.double()))
    assert (layer(volumes).double() - true).abs().max() < 5e-3


def test_what_is_not_a_number_remains_so():
    layer, volumes = layer_of(3), volumes_of(2, 3, 2, 3, 3)
    volumes[0, 1, 0, 0, 0] = torch.nan
    output = layer(volumes)
    assert output[:, 1].isnan().all()
    assert output[:, ::2].isfinite().all()


def test_each_time_the_bits_are_the_same():
    layer, volumes = layer_of(3), volumes_of(2, 3, 3, 4, 3)
    runs = [passes(layer, volumes, list(layer.parameters())) for _ in range(2)]
    assert all(map(torch.equal, *runs))


def test_second_derivatives_are_torchs():
    layer, volumes = layer_of(2), volumes_of(1, 2, 2, 3, 2).requires_grad_()
    exact, double = exact_of(layer), volumes.detach().double().requires_grad_()
    found = []
    for function, at in ((layer, volumes), (lambda v: F.relu6(exact(v)), double)):
        (first,) = torch.autograd.grad(function(at).pow(2).sum(), at, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), at)[0].double())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_channels_first_and_a_single_value_are_left_to_torch():
    norm = layer_of(3)[0]
    assert normalisation_gpu.takes(norm, volumes_of(2, 3, 2, 2, 2))
    assert not normalisation_gpu.takes(norm, volumes_of(2, 3, 2, 2, 2).contiguous())
    assert not normalisation_gpu.takes(norm, volumes_of(1, 3, 1, 1, 1))
    assert not normalisation_gpu.takes(norm, volumes_of(2, 3, 2, 2, 2).double())
    assert not normalisation_gpu.takes(nn.BatchNorm3d(3, affine=False), volumes_of(2, 3, 2, 2, 2))


@pytest.mark.parametrize("recorded", [True, False])
def test_few_values_are_left_to_torch_unless_they_are_recorded(recorded, monkeypatch):
    monkeypatch.setattr(normalisation_gpu, "_WORTH_LAUNCHING", 2 * 3 * 8 + 1)
    monkeypatch.setattr(normalisation_gpu, "recorded", lambda volumes: recorded)
    norm = layer_of(3)[0]
    assert normalisation_gpu.takes(norm, volumes_of(2, 3, 2, 2, 2)) == recorded
    assert normalisation_gpu.takes(norm, volumes_of(2, 3, 2, 2, 3))


def test_a_hooked_layer_is_called():
    norm, seen = nn.BatchNorm3d(3).to(DEVICE), []
    norm.register_forward_hook(lambda *_: seen.append(1))
    batch_norm(norm, volumes_of(2, 3, 2, 2, 2))
    assert seen == [1]


def test_the_product_is_the_convolution_and_lies_channels_last():
    layer = PointwiseConv3d(3, 5).to(DEVICE)
    volumes = volumes_of(2, 3, 2, 3, 4)
    plain = nn.Conv3d(3, 5, 1, bias=False).to(DEVICE).double()
    plain.load_state_dict(layer.state_dict())
    found = passes(layer, volumes, [layer.weight])
    assert found[0].is_contiguous(memory_format=torch.channels_last_3d)
    assert found[1].is_contiguous(memory_format=torch.channels_last_3d)
    assert_close(found, passes(plain, volumes.double(), [plain.weight]), torch.float32)


def test_on_a_cpu_the_product_is_the_convolution_bit_for_bit(monkeypatch):
    monkeypatch.undo()
    layer, plain = PointwiseConv3d(3, 5), nn.Conv3d(3, 5, 1, bias=False)
    plain.load_state_dict(layer.state_dict())
    volumes = volumes_of(2, 3, 2, 3, 4).cpu()
    ours, other = (passes(one, volumes, [one.weight]) for one in (layer, plain))
    if DEVICE == "cpu":
        assert all(map(torch.equal, ours, other))


def test_volumes_stay_channels_last_through_a_whole_block_without_a_copy(monkeypatch):
    monkeypatch.setattr(depthwise, "_on_gpu", lambda volumes: True)
    monkeypatch.setattr(depthwise_gpu, "_WORTH_LAUNCHING", 0)
    small = depthwise_triton.Tiling(2, 16, 4, 1)
    monkeypatch.setattr(depthwise_triton, "tiling_of", lambda *of: small)
    copies, contiguous = [], torch.Tensor.contiguous

    def counted(values, *args, **kwargs):
        found = contiguous(values, *args, **kwargs)
        if found is not values and values.ndim == 5:
            copies.append(tuple(values.shape))
        return found

    block, volumes = MBConv3D(2, kernel=3, expansion=2).to(DEVICE), volumes_of(1, 2, 2, 3, 3)
    gradient, volumes = volumes_of(1, 2, 2, 3, 3, seed=1), volumes.requires_grad_()
    monkeypatch.setattr(torch.Tensor, "contiguous", counted)
    for layers in (block.expand, block.depthwise, block.project):
        for layer in layers:
            layer.register_forward_hook(lambda layer, inputs, output: orders.append(
                (type(layer).__name__, output.is_contiguous(memory_format=LAST))
            ))  # fmt: skip
    orders = []
    output = block(volumes)
    assert len(orders) == 6
    assert all(last for _, last in orders), orders
    (to_volumes,) = torch.autograd.grad(output, volumes, gradient)
    assert to_volumes.is_contiguous(memory_format=LAST)
    assert copies == []
