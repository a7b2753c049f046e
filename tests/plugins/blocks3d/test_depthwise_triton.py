"""The kernels for a GPU, in Triton's interpreter where there is none."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.grad import conv3d_input, conv3d_weight

from medpipe_plugins.blocks3d import DepthwiseConv3d, depthwise, depthwise_gpu
from medpipe_plugins.blocks3d import depthwise_triton as kernels
from medpipe_plugins.blocks3d.depthwise_triton import Tiling
from medpipe_plugins.blocks3d.triton_layout import TYPES
from medpipe_plugins.triton_extra import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="needs Triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL = Tiling(2, 16, 4, 1)
# One unit of a float's last place, relative: what is written may be rounded up or down.
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def numbers(*shape, dtype=torch.float32, seed=0):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(DEVICE, dtype)


def last(volumes):
    return volumes.contiguous(memory_format=torch.channels_last_3d)


def assert_all_passes(shape, kernel, stride, dtype=torch.float32, tiling=SMALL, parts="fiw"):
    """Compare the three passes with those in float64 of the same, already rounded, numbers."""
    moves = (stride, kernel // 2, 1, shape[1])
    x = numbers(*shape, dtype=dtype)
    weight = numbers(shape[1], 1, kernel, kernel, kernel, dtype=dtype, seed=1)
    exact = F.conv3d(x.double(), weight.double(), None, *moves)
    gradient = numbers(*exact.shape, dtype=dtype, seed=2)
    lines, found = kernels.laid_out(weight, dtype), {}
    if "f" in parts:
        output = kernels.convolve(x, lines, kernel, stride, tiling=tiling)
        found["f"] = output, exact
    if "i" in parts:
        to_x = kernels.input_gradient(gradient, lines, kernel, stride, x.shape, tiling=tiling)
        true = conv3d_input(x.shape, weight.double(), gradient.double(), *moves)
        found["i"] = to_x, true
    if "w" in parts:
        to_weight = kernels.weight_gradient(x, gradient, kernel, stride, tiling=tiling)
        assert to_weight.dtype == torch.float32
        true = conv3d_weight(x.double(), weight.shape, gradient.double(), *moves)
        found["w"] = to_weight, true
    for part, (ours, true) in found.items():
        assert ours.shape == true.shape
        if part != "w":
            assert ours.dtype == dtype
            assert ours.is_contiguous(memory_format=torch.channels_last_3d)
        allowed = ROUNDING[ours.dtype] * true.abs().clamp(min=1)
        assert ((ours.double() - true).abs() <= allowed * (1 + true.abs().amax() / 8)).all()


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 3)] * 3),
    batch=st.integers(1, 2),
    channels=st.integers(1, 3),
    stride=st.sampled_from([1, 2]),
    dtype=st.sampled_from(list(ROUNDING)),
)
def test_all_three_passes_are_those_of_double_precision(size, batch, channels, stride, dtype):
    assert_all_passes((batch, channels, *size), 3, stride, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
def test_larger_kernels_reach_as_far(stride):
    assert_all_passes((1, 1, 3, 4, 5), 5, stride, tiling=Tiling(4, 32, 1, 1))
    assert_all_passes((1, 1, 5, 4, 4), 7, stride, tiling=Tiling(6, 16, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(ROUNDING))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_all_kernels_strides_and_types_on_odd_sizes(kernel, stride, dtype):
    assert_all_passes((1, 3, 5, 6, 9), kernel, stride, dtype, tiling=Tiling(4, 32, 4, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "kernel", "stride", "tiling"),
    sorted({(*key[:3], tiling) for key, tiling in kernels.TILINGS.items()}),
)
def test_every_tiling_of_the_table_is_right(part, kernel, stride, tiling):
    assert_all_passes((1, 5, 3, 5, 5), kernel, stride, tiling=tiling, parts=part[0])


def test_the_table_has_a_tiling_for_all_that_is_taken():
    for part, kernel, stride, dtype in itertools.product(
        ("forward", "input", "weight"), kernels.KERNELS, kernels.STRIDES, TYPES
    ):
        tiling = kernels.tiling_of(part, kernel, stride, dtype)
        assert stride == 1 or part != "input" or tiling.planes % 2 == 0
        assert tiling.lanes * tiling.places >= tiling.warps * 32


def test_a_sum_over_many_slices_is_the_same_each_time():
    x, gradient = numbers(1, 2, 2, 2, 5), numbers(1, 2, 2, 2, 5, seed=1)
    tiling = Tiling(1, 16, 2, 1, slices=3)
    found = [kernels.weight_gradient(x, gradient, 3, 1, tiling=tiling) for _ in range(2)]
    assert torch.equal(*found)
    other = kernels.weight_gradient(x, gradient, 3, 1, tiling=Tiling(2, 4, 2, 1, slices=1))
    torch.testing.assert_close(found[0], other, rtol=1e-5, atol=1e-5)


def test_channels_first_and_gaps_give_the_same_bits():
    weight, wide = numbers(2, 1, 3, 3, 3), numbers(1, 4, 2, 2, 4, seed=1)
    part, lines = wide[:, 1:3, :, :, 1:], kernels.laid_out(weight, torch.float32)
    expected = kernels.convolve(last(part), lines, 3, 1, tiling=SMALL)
    assert torch.equal(kernels.convolve(part, lines, 3, 1, tiling=SMALL), expected)
    assert torch.equal(kernels.convolve(part.contiguous(), lines, 3, 1, tiling=SMALL), expected)


def test_what_is_beyond_the_kernels_is_not_taken():
    volumes = torch.empty(1, 2, 4, 4, 4)
    assert kernels.takes(volumes, 3, 1)
    assert kernels.takes(volumes.bfloat16(), 7, 2)
    assert not kernels.takes(volumes.double(), 3, 1)
    assert not kernels.takes(volumes, 9, 1)
    assert not kernels.takes(volumes, 3, 3)
    assert not kernels.takes(volumes[:0], 3, 1)
    assert not kernels.takes(torch.empty(1, device="meta").expand(1, 2, 2**10, 2**10, 2**10), 3, 1)


class TestTheLayer:
    """The layer as it is on a GPU."""

    @pytest.fixture(autouse=True)
    def on_a_gpu(self, monkeypatch):
        monkeypatch.setattr(depthwise, "_on_gpu", lambda volumes: True)
        monkeypatch.setattr(kernels, "tiling_of", lambda *of: SMALL)
        monkeypatch.setattr(depthwise_gpu, "_WORTH_LAUNCHING", 0)

    @pytest.fixture
    def without_triton(self, monkeypatch):
        monkeypatch.setattr(depthwise_gpu, "has_triton", lambda: False)

    def passes(self, layer, volumes, stride=1):
        volumes = volumes.detach().requires_grad_()
        output = layer(volumes)
        gradient = numbers(*output.shape, dtype=output.dtype, seed=3)
        found = torch.autograd.grad(output, (volumes, layer.weight), gradient)
        return [output.detach(), *found]

    def assert_plain(self, stride, rtol=1e-5):
        layer, volumes = DepthwiseConv3d(2, 3, stride).to(DEVICE), numbers(1, 2, 2, 3, 4)
        ours = self.passes(layer, volumes)
        exact = torch.nn.Conv3d.forward
        double = DepthwiseConv3d(2, 3, stride).to(DEVICE).double()
        double.load_state_dict(layer.state_dict())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DepthwiseConv3d, "forward", exact)
            true = self.passes(double, volumes.double())
        for one, other in zip(ours, true, strict=True):
            assert one.dtype == torch.float32
            torch.testing.assert_close(one.double(), other, rtol=rtol, atol=1e-5)
        return ours

    @pytest.mark.parametrize("stride", [1, 2])
    def test_it_computes_the_convolution_and_its_gradients(self, stride):
        output, to_volumes, _ = self.assert_plain(stride)
        for volumes in (output, to_volumes):
            assert volumes.is_contiguous(memory_format=torch.channels_last_3d)

    @pytest.mark.parametrize("stride", [1, 2])
    def test_without_triton_torch_gets_the_volumes_channels_first(self, stride, without_triton):
        output, _, _ = self.assert_plain(stride)
        assert output.is_contiguous()

    def test_few_values_are_convolved_by_torch_in_all_passes(self, monkeypatch):
        monkeypatch.setattr(depthwise_gpu, "_WORTH_LAUNCHING", 2 * 2 * 3 * 4 * 27 + 1)
        output, to_volumes, _ = self.assert_plain(1)
        assert output.is_contiguous()
        assert to_volumes.is_contiguous()

    @pytest.mark.parametrize("has", [True, False])
    def test_autocast_lowers_what_is_convolved_and_not_the_gradients(self, has, monkeypatch):
        monkeypatch.setattr(depthwise_gpu, "has_triton", lambda: has)
        layer, volumes = DepthwiseConv3d(2, 3).to(DEVICE), numbers(1, 2, 3, 3, 3)
        with torch.autocast(DEVICE, torch.bfloat16):
            output, to_volumes, to_weight = self.passes(layer, volumes)
        assert output.dtype == torch.bfloat16
        assert to_volumes.dtype == to_weight.dtype == torch.float32
        torch.testing.assert_close(
            output.float(), layer(volumes), rtol=0.05, atol=0.05, check_dtype=True
        )

    @pytest.mark.parametrize("stride", [1, 2])
    def test_second_derivatives_are_torchs(self, stride):
        layer = DepthwiseConv3d(2, 3, stride).to(DEVICE)
        volumes = numbers(1, 2, 3, 3, 4).requires_grad_()
        (first,) = torch.autograd.grad(layer(volumes).pow(2).sum(), volumes, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), volumes)
        weight = layer.weight.detach().double()
        double = volumes.detach().double().requires_grad_()
        output = F.conv3d(double, weight, None, stride, 1, 1, 2)
        (first,) = torch.autograd.grad(output.pow(2).sum(), double, create_graph=True)
        (true,) = torch.autograd.grad(first.pow(2).sum(), double)
        torch.testing.assert_close(second.double(), true, rtol=1e-4, atol=1e-4)

    def test_no_volume_at_all_gives_none(self):
        layer = DepthwiseConv3d(2, 3).to(DEVICE)
        assert layer(torch.rand(0, 2, 4, 4, 4, device=DEVICE)).shape == (0, 2, 4, 4, 4)

    def test_types_that_do_not_agree_are_refused_as_by_torch(self):
        with pytest.raises(RuntimeError):
            DepthwiseConv3d(2, 3).to(DEVICE)(numbers(1, 2, 3, 3, 3, dtype=torch.bfloat16))
