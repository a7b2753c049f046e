from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from medpipe_plugins.blocks3d import DepthwiseConv3d, depthwise, depthwise_compiled
from medpipe_plugins.numba_extra import has_numba

needs_numba = pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
SHAPES = [(2, 32, 9, 8, 7), (1, 16, 15, 7, 17), (3, 6, 5, 4, 3), (1, 1, 1, 1, 1), (2, 19, 2, 9, 3)]


def plain(layer):
    channels, kernel, stride = layer.in_channels, layer.kernel_size[0], layer.stride[0]
    found = nn.Conv3d(
        channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
    )
    found.load_state_dict(layer.state_dict())
    return found


def passes(layer, volumes, seed=0):
    """Return output, input gradient and weight gradient."""
    volumes = volumes.detach().requires_grad_()
    output = layer(volumes)
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed))
    found = torch.autograd.grad(output, (volumes, layer.weight), gradient.to(output.dtype))
    return [output.detach(), *found]


def volumes_of(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_float32_of(found, exact):
    for ours, true in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert (ours.double() - true).abs().max() <= 3e-6 * true.abs().max()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_three_passes_are_those_of_double_precision(shape, kernel, stride):
    layer = DepthwiseConv3d(shape[1], kernel, stride)
    volumes = volumes_of(*shape)
    exact = passes(plain(layer).double(), volumes.double())
    assert_float32_of(passes(layer, volumes), exact)
    last = volumes.contiguous(memory_format=torch.channels_last_3d)
    assert_float32_of(passes(layer, last), exact)


@needs_numba
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_compiled_passes_are_right_where_they_are_not_quicker(monkeypatch, kernel, stride):
    monkeypatch.setattr(depthwise_compiled, "is_quicker", lambda volumes: True)
    for shape in SHAPES:
        layer = DepthwiseConv3d(shape[1], kernel, stride)
        volumes = volumes_of(*shape)
        exact = passes(plain(layer).double(), volumes.double())
        assert_float32_of(passes(layer, volumes), exact)


@pytest.mark.parametrize("stride", [1, 2])
def test_without_numba_results_are_the_same_up_to_rounding(monkeypatch, stride):
    layer, volumes = DepthwiseConv3d(16, 5, stride), volumes_of(2, 16, 8, 9, 7)
    there = passes(layer, volumes)
    monkeypatch.setattr(depthwise, "has_numba", lambda: False)
    for ours, without in zip(there, passes(layer, volumes), strict=True):
        torch.testing.assert_close(ours, without, rtol=1e-4, atol=1e-5)


@needs_numba
def test_neither_runs_nor_threads_change_a_bit(monkeypatch):
    layer, volumes = DepthwiseConv3d(48, 3), volumes_of(2, 48, 7, 7, 8)
    alone = passes(layer, volumes)
    monkeypatch.setattr(depthwise_compiled, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for _ in range(2):
        assert all(map(torch.equal, passes(layer, volumes), alone))


@needs_numba
def test_a_volume_that_is_not_a_number_stays_with_its_channel():
    layer, volumes = DepthwiseConv3d(16, 3), volumes_of(1, 16, 7, 7, 7)
    volumes[:, 3] = torch.nan
    output, to_volumes, to_weight = passes(layer, volumes)
    others = torch.arange(16) != 3
    assert output[:, others].isfinite().all()
    assert to_volumes.isfinite().all()
    assert to_weight[others].isfinite().all()
    assert to_weight[3].isnan().all()


def test_training_and_evaluation_give_the_same_bits():
    for shape in SHAPES:
        layer, volumes = DepthwiseConv3d(shape[1], 3), volumes_of(*shape)
        with torch.no_grad():
            evaluated = layer(volumes)
        assert torch.equal(layer(volumes), evaluated)


def test_results_are_channels_last_and_inputs_keep_their_order():
    layer, volumes = DepthwiseConv3d(16, 3), volumes_of(2, 16, 7, 7, 7)
    output, to_volumes, _ = passes(layer, volumes)
    assert output.is_contiguous(memory_format=torch.channels_last_3d)
    assert to_volumes.shape == volumes.shape


def test_a_gap_in_memory_does_not_matter():
    layer, wide = DepthwiseConv3d(16, 3), volumes_of(2, 20, 7, 7, 9)
    part = wide[:, 2:18, :, :, 1:8]
    for ours, dense in zip(passes(layer, part), passes(layer, part.clone()), strict=True):
        torch.testing.assert_close(ours, dense)


def test_stride_two_halves_each_axis_rounding_up():
    assert DepthwiseConv3d(2, 5, stride=2)(torch.rand(1, 2, 7, 8, 9)).shape == (1, 2, 4, 4, 5)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="must be odd"):
        DepthwiseConv3d(2, 4)


def test_volumes_of_other_channels_are_refused_as_by_the_plain_convolution():
    with pytest.raises(RuntimeError, match="channels"):
        DepthwiseConv3d(4, 3)(torch.rand(1, 5, 4, 4, 4))


def test_no_volume_at_all_gives_none():
    assert DepthwiseConv3d(2, 3)(torch.rand(0, 2, 4, 4, 4)).shape == (0, 2, 4, 4, 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_second_derivatives_are_those_of_the_plain_convolution(stride):
    layer, volumes = DepthwiseConv3d(16, 3, stride), volumes_of(1, 16, 7, 7, 7)
    found = []
    for each, kind in ((layer, torch.float32), (plain(layer).double(), torch.float64)):
        x = volumes.to(kind).requires_grad_()
        gradients = torch.autograd.grad(each(x).square().sum(), (x, each.weight), create_graph=True)
        total = sum(gradient.square().sum() for gradient in gradients)
        found.append(torch.autograd.grad(total, (x, each.weight)))
    for ours, true in zip(*found, strict=True):
        torch.testing.assert_close(ours.double(), true, rtol=1e-4, atol=1e-2)


def test_float64_passes_the_numerical_check():
    layer = DepthwiseConv3d(2, 3, stride=2).double()
    volumes = torch.rand(1, 2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, volumes)


def test_autocast_computes_as_the_plain_convolution():
    layer, volumes = DepthwiseConv3d(16, 3), volumes_of(1, 16, 7, 7, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, other = passes(layer, volumes), passes(plain(layer), volumes)
    assert ours[0].dtype == torch.bfloat16
    assert all(map(torch.equal, ours, other))


def test_torch_func_differentiates_it():
    layer, volumes = DepthwiseConv3d(16, 3), volumes_of(1, 16, 7, 7, 7)
    found = torch.func.grad(lambda x: layer(x).square().sum())(volumes)
    x = volumes.clone().requires_grad_()
    layer(x).square().sum().backward()
    torch.testing.assert_close(found, x.grad)


def test_a_copy_has_the_names_of_the_plain_convolution_and_trains_on_its_own():
    layer = DepthwiseConv3d(4, 3)
    twin = copy.deepcopy(layer)
    assert list(twin.state_dict()) == list(plain(layer).state_dict())
    twin(torch.rand(1, 4, 5, 5, 5)).sum().backward()
    assert layer.weight.grad is None


def test_it_exports_as_the_plain_operator():
    layer = DepthwiseConv3d(16, 3).eval()
    volumes = torch.rand(1, 16, 7, 7, 7)
    exported = torch.export.export(layer, (volumes,))
    assert "conv3d" in str(exported.graph)
    torch.testing.assert_close(exported.module()(volumes), layer(volumes))


def test_fake_tensors_tell_its_shape():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode() as mode:
        layer = DepthwiseConv3d(16, 3, stride=2)
        assert layer(mode.from_tensor(torch.rand(1, 16, 7, 7, 7))).shape == (1, 16, 4, 4, 4)


def test_torch_compile_takes_the_plain_operator():
    layer, volumes = DepthwiseConv3d(16, 3), volumes_of(1, 16, 7, 7, 7)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(volumes), layer(volumes))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own
def test_in_onnx_it_is_one_convolution_with_a_group_a_channel():
    layer, volumes = DepthwiseConv3d(4, 5, stride=2).eval(), torch.rand(2, 4, 8, 8, 8)
    program = torch.onnx.export(layer, (volumes,), dynamo=True, verbose=False)
    (convolution,) = [node for node in program.model.graph if node.op_type == "Conv"]
    assert convolution.attributes["group"].value == 4
    assert list(convolution.attributes["strides"].value) == [2, 2, 2]


LARGE = """
import sys, torch
from torch import nn
from medpipe_plugins.blocks3d import DepthwiseConv3d, depthwise

torch.set_num_threads(1)
if NUMBA == "without numba":
    depthwise.has_numba = lambda: False
for kernel, stride, depths in (
    (7, 2, (5, 6, 7)), (9, 2, (6,)), (9, 3, (6, 7)), (11, 2, (7, 9)), (13, 3, (8,)), (11, 1, (4,)),
):
    for depth in depths:
        layer = DepthwiseConv3d(8, kernel, stride)
        exact = nn.Conv3d(8, 8, kernel, stride, kernel // 2, groups=8, bias=False).double()
        exact.load_state_dict(layer.state_dict())
        found = []
        for one, dtype in ((layer, torch.float32), (exact, torch.float64)):
            generator = torch.Generator().manual_seed(0)
            given = torch.rand(2, 8, depth, 6, 7, generator=generator).to(dtype)
            given = given.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
            out = one(given)
            weights = torch.rand(out.shape, generator=generator).to(dtype)
            weights = weights.contiguous(memory_format=torch.channels_last_3d)
            out.backward(weights)
            found.append((out.detach(), given.grad, one.weight.grad))
        for ours, theirs in zip(*found):
            assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max(), (kernel, stride, depth)
print("right")
"""


@pytest.mark.parametrize("numba", ["with numba", "without numba"])
def test_kernels_larger_than_the_volume_train_right_at_any_stride(numba, forked):
    """Where torch's own gradient is wrong or ends the process: so in a process of its own."""
    done = forked(f"NUMBA = {numba!r}\n{LARGE}")
    assert (done.code, done.output) == (0, "right\n"), done.problems
