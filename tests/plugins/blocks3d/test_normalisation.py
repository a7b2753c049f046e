from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medpipe_plugins.blocks3d import BatchNormReLU6, InstanceNormReLU6, MBConv3D, normalisation
from medpipe_plugins.blocks3d.normalisation import relu6
from medpipe_plugins.numba_extra import has_numba

needs_numba = pytest.mark.skipif(not has_numba(), reason="needs numba, the extra `fast`")
SHAPES = [(3, 24, 8, 9, 10), (2, 8, 14, 14, 14), (5, 7, 10, 9, 11), (2, 513, 4, 4, 4)]


def pair(channels, dtype=torch.float32, **settings):
    """Return medpipe's module and torch's two, of the same parameters."""
    generator = torch.Generator().manual_seed(1)
    ours = BatchNormReLU6(channels, **settings)
    with torch.no_grad():
        ours[0].weight.copy_(0.5 + torch.rand(channels, generator=generator))
        ours[0].bias.copy_(1 + torch.randn(channels, generator=generator))
    plain = nn.Sequential(nn.BatchNorm3d(channels, **settings, dtype=dtype), nn.ReLU6())
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def volumes(shape, offset=0.0):
    generator = torch.Generator().manual_seed(0)
    made = offset + 2 * torch.randn(shape, generator=generator)
    return made.contiguous(memory_format=torch.channels_last_3d)


def passes(module, given, weights):
    given = given.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    output = module(given)
    (output * weights).sum().backward()
    gradients = [given.grad, *(p.grad for p in module.parameters())]
    return output.detach(), *gradients, *module.buffers()


def takes_own_way(module, given):
    return module._is_plain(given) and normalisation._compiles(module[0], given)


def in_own_way(monkeypatch):
    """Take the compiled loops for small volumes, too."""
    monkeypatch.setattr(normalisation, "_WORTH_COMPILING", 1)


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch):
    monkeypatch.setattr(normalisation.compiled, "_WORTH_A_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@needs_numba
@pytest.mark.parametrize("shape", SHAPES)
def test_it_trains_as_batch_normalisation_and_relu6_in_double_precision_do(
    shape, threads, monkeypatch
):
    in_own_way(monkeypatch)
    ours, plain = pair(shape[1], torch.float64)
    given, weights = volumes(shape), torch.rand(shape)
    assert takes_own_way(ours, given)
    found = passes(ours, given, weights)
    expected = passes(plain, given.double(), weights.double())
    names = ("output", "input", "weight", "bias", "mean", "variance", "batches")
    for name, one, other in zip(names, found, expected, strict=True):
        assert (one - other).abs().max() <= 5e-6 * other.abs().max(), name


@needs_numba
def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    in_own_way(monkeypatch)
    monkeypatch.setattr(normalisation.compiled, "_WORTH_A_THREAD", 1)
    found = []
    before = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(passes(pair(24)[0], volumes(SHAPES[0]), torch.ones(SHAPES[0])))
    torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@needs_numba
def test_a_mean_far_above_the_deviation_does_not_cancel():
    ours, plain = pair(8, torch.float64)
    given = volumes((2, 8, 16, 16, 16), offset=1000.0)
    assert takes_own_way(ours, given)
    expected = plain(given.double()).float()
    torch.testing.assert_close(ours(given), expected, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(ours[0].running_var, plain[0].running_var.float(), rtol=1e-4, atol=0)


@needs_numba
def test_evaluation_uses_the_running_statistics():
    ours, plain = pair(8)
    given = volumes((2, 8, 16, 16, 16), offset=1.0)
    for module in (ours, plain):
        module(given)
        module.eval()
    with torch.no_grad():
        assert takes_own_way(ours, given)
        torch.testing.assert_close(ours(given), plain(given))
    assert not takes_own_way(ours, given)  # a frozen layer that gradients pass through is torch's


@needs_numba
@pytest.mark.parametrize("shape", SHAPES)
def test_running_statistics_stay_where_nobody_tracks_them(shape):
    module, plain = pair(shape[1])
    given = volumes(shape)
    for norm in (module[0], plain[0]):
        norm.track_running_stats = False
    torch.testing.assert_close(module.train()(given), plain.train()(given))
    for name, kept in plain.named_buffers():
        assert torch.equal(dict(module.named_buffers())[name], kept), name


def test_statistics_estimated_anew_are_averages_over_batches():
    ours, plain = pair(8, momentum=None)
    for number in range(3):
        given = volumes((2, 8, 16, 16, 16), offset=float(number))
        with torch.no_grad():
            ours(given)
            plain(given)
    for one, other in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other)
    assert ours[0].num_batches_tracked == 3


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda v: v.contiguous(), {}),
        (lambda v: v[:, :, :2, :2, :2], {}),  # too small to be worth it
        (lambda v: v.double(), {"dtype": torch.float64}),
        (lambda v: v, {"affine": False}),
        (lambda v: v, {"track_running_stats": False}),
    ],
)
def test_what_the_compiled_loops_do_not_take_goes_to_torch(change, settings):
    ours = BatchNormReLU6(8, **settings)
    plain = nn.Sequential(nn.BatchNorm3d(8, **settings), nn.ReLU6())
    given = change(volumes((2, 8, 14, 14, 14)))
    assert not takes_own_way(ours, given)
    assert torch.equal(ours(given.clone()), plain(given.clone()))


def test_a_single_value_in_training_is_refused_as_by_torch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNormReLU6(4)(torch.rand(1, 4, 1, 1, 1))


def test_channels_that_do_not_fit_are_refused_as_by_torch():
    with pytest.raises(RuntimeError, match="running_mean should contain 9 elements"):
        BatchNormReLU6(8)(volumes((2, 9, 14, 14, 14)))


@needs_numba
def test_not_a_number_remains_one():
    given = volumes((2, 8, 14, 14, 14))
    given[0, 3, 0, 0, 0] = torch.nan
    output = BatchNormReLU6(8)(given)
    assert output[:, 3].isnan().all()
    assert not output[:, 2].isnan().any()


@needs_numba
def test_second_derivatives_are_right(monkeypatch):
    in_own_way(monkeypatch)
    found = []
    for module in pair(3, eps=0.1):
        given = volumes((2, 3, 3, 3, 3)).requires_grad_()
        inputs = [given, *module.parameters()]
        first = torch.autograd.grad(module(given).square().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(sum(one.square().sum() for one in first), inputs))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@needs_numba
def test_it_can_be_copied_saved_and_loaded_as_batch_normalisation():
    ours, _ = pair(8)
    ours(volumes((2, 8, 14, 14, 14)))
    plain = nn.Sequential(nn.BatchNorm3d(8), nn.ReLU6())
    plain.load_state_dict(ours.state_dict())
    assert all(map(torch.equal, plain.buffers(), copy.deepcopy(ours).buffers()))


def test_it_needs_less_memory_for_the_backward_pass():
    kept = []
    for module in pair(8):
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.setdefault(t.data_ptr(), t.numel()) and t, lambda t: t
        ):
            output = module(volumes((2, 8, 14, 14, 14)).requires_grad_() * 1)
        sizes.pop(output.data_ptr(), None)  # which the next layer keeps
        kept.append(sum(sizes.values()))
    ours, plain = kept
    assert ours < 0.6 * plain


def special():
    values = torch.tensor([-1.0, -0.0, 0.0, 1e-45, 3.0, 6.0, 6.0000005, 9.0, torch.nan])
    return torch.cat((values, 4 * torch.randn(100, generator=torch.Generator().manual_seed(0))))


def test_values_and_gradients_of_relu6_are_torchs_bit_for_bit():
    found = []
    for activation in (relu6, F.relu6):
        leaf = special().requires_grad_()
        output = activation(leaf * 1)
        (gradient,) = torch.autograd.grad(output, leaf, torch.arange(len(leaf)) + 1.0)
        found.append((output, gradient))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0, equal_nan=True)


def test_relu6_writes_over_what_it_is_given_only_while_gradients_are_recorded():
    given = special()
    relu6(given)
    assert given[0] == -1
    leaf = special().requires_grad_()
    with torch.no_grad():
        relu6(leaf)
    relu6(leaf)
    assert leaf[0] == -1
    before = leaf * 1
    assert relu6(before).data_ptr() == before.data_ptr()


def test_an_earlier_layer_that_needs_its_result_fails_and_is_never_wrong():
    leaf = special().requires_grad_()
    output = relu6(leaf.exp())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_second_derivatives_pass_through_relu6():
    leaf = torch.tensor([1.5], requires_grad=True)
    (first,) = torch.autograd.grad(relu6(leaf * leaf * leaf), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first, leaf)
    assert (first.item(), second.item()) == (3 * 1.5**2, 6 * 1.5)


def test_it_exports_as_the_plain_operators():
    block = MBConv3D(4, kernel=3, expansion=2).eval()
    given = torch.rand(1, 4, 5, 5, 5)
    exported = torch.export.export(block, (given,))
    names = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert any("batch_norm" in name for name in names)
    torch.testing.assert_close(exported.module()(given), block(given))


def test_a_voxel_alone_is_scaled_and_shifted_and_more_are_normalised():
    norm = InstanceNormReLU6(3)
    with torch.no_grad():
        norm[0].weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm[0].bias.copy_(torch.tensor([0.0, 0.5, 1.0]))
    one = torch.tensor([[0.5, 1.0, 2.0]]).view(1, 3, 1, 1, 1)
    assert norm(one).flatten().tolist() == [0.5, 2.5, 6.0]
    several = torch.rand(2, 3, 2, 1, 1)
    assert torch.equal(norm(several), F.relu6(norm[0](several)))
