"""Tools that record, transform or rebuild a network find torch's own layers in it."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

import medpipe_core as mp
from medpipe_plugins.augment3d import resample
from medpipe_plugins.baselines.resnet import resnet18_acs
from medpipe_plugins.blocks3d import BatchNormReLU6, DepthwiseConv3d, MBConv3D
from medpipe_plugins.watching import watched

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore:.*legacy TorchScript"
)


def searched():
    space = mp.load_plugins().space(
        "medpipe-mbconv3d", channels=(8, 16), depths=(1, 1), stem_channels=8
    )
    return mp.build_network(space, space.sample(seed=1), in_channels=1, num_classes=3, seed=0)


NETWORKS = {
    "searched": searched,
    "ACS": lambda: resnet18_acs(in_channels=1, num_classes=3, width=4),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A network in evaluation mode whose statistics and weights are not those of the start."""
    made = NETWORKS[request.param]()
    generator = torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.bias, 0, 8, generator=generator)  # so that ReLU6 has an effect
    return made.eval()


@pytest.fixture
def volumes():
    return torch.rand(2, 1, 12, 12, 12, generator=torch.Generator().manual_seed(1))


def plain(network):
    """The same network of torch's layers alone."""
    made = copy.deepcopy(network)
    for module in list(made.modules()):
        for name, child in module.named_children():
            if isinstance(child, BatchNormReLU6):
                setattr(module, name, nn.Sequential(*child))
            elif isinstance(child, DepthwiseConv3d):
                torchs = nn.Conv3d(
                    child.in_channels, child.in_channels, child.kernel_size, child.stride,
                    child.padding, groups=child.in_channels, bias=False,
                )  # fmt: skip
                torchs.load_state_dict(child.state_dict())
                setattr(module, name, torchs)
    return made


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def fused(network, volumes):
    from torch.fx.experimental.optimization import fuse  # which warns as it is imported

    return fuse(copy.deepcopy(network))(volumes)


RECORDED = {
    "trace": lambda n, v: torch.jit.trace(n, v)(v),
    "trace without gradients": lambda n, v: torch.no_grad()(torch.jit.trace)(n, v)(v),
    "script": lambda n, v: torch.jit.script(n)(v),
    "fx": lambda n, v: torch.fx.symbolic_trace(n)(v),
    "fused by fx": fused,
    "export": lambda n, v: torch.export.export(n, (v,)).module()(v),
    "vmap": lambda n, v: torch.func.vmap(lambda one: n(one[None])[0])(v),
    "functional_call": lambda n, v: torch.func.functional_call(n, dict(n.state_dict()), (v,)),
    "jvp": lambda n, v: torch.func.jvp(n, (v,), (v,))[0],
}


@pytest.mark.parametrize("way", RECORDED)
@pytest.mark.parametrize("grad", [True, False])
def test_what_is_recorded_or_transformed_computes_the_same(network, volumes, way, grad):
    with torch.set_grad_enabled(grad):
        expected = network(volumes)
        close(RECORDED[way](network, volumes), expected)


def gradients_of(network, volumes):
    return torch.autograd.grad(network(volumes).square().sum(), list(network.parameters()))


def by_functional_call(network, volumes):
    weights = dict(network.named_parameters())

    def loss(weights):
        return torch.func.functional_call(network, weights, (volumes,)).square().sum()

    return tuple(torch.func.grad(loss)(weights).values())


def of_each_volume(network, volumes):
    """Gradients volume by volume (vmap of grad), summed."""
    weights = dict(network.named_parameters())

    def loss(weights, volume):
        return torch.func.functional_call(network, weights, (volume[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, volumes)
    return tuple(gradient.sum(0) for gradient in each.values())


@pytest.mark.parametrize("way", [by_functional_call, of_each_volume])
def test_transformed_gradients_are_those_of_the_plain_network(network, volumes, way):
    for found, expected in zip(
        way(network, volumes), gradients_of(plain(network), volumes), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max())


def test_directional_derivatives_are_those_of_the_plain_network(network, volumes):
    found = [torch.func.jvp(n, (volumes,), (volumes,))[1] for n in (network, plain(network))]
    close(*found)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(volumes, volumes)
        out = torch.autograd.forward_ad.unpack_dual(plain(network)(dual))
        close(torch.autograd.forward_ad.unpack_dual(network(dual)).tangent, out.tangent)


def test_many_gradients_at_once_are_those_one_by_one():
    block = nn.Sequential(DepthwiseConv3d(8, 3), BatchNormReLU6(8), DepthwiseConv3d(8, 3, 2))
    given = torch.rand(2, 8, 14, 14, 14).contiguous(memory_format=torch.channels_last_3d)
    given.requires_grad_()
    out = block(given).flatten()[:3]
    inputs = [given, *block.parameters()]
    found = torch.autograd.grad(out, inputs, torch.eye(3), is_grads_batched=True, retain_graph=True)
    for number in range(3):
        each = torch.autograd.grad(out[number], inputs, retain_graph=True)
        for many, one in zip(found, each, strict=True):
            torch.testing.assert_close(many[number], one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dynamo", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.filterwarnings("ignore")
def test_either_onnx_exporter_writes_the_network(network, volumes, dynamo, capsys):
    onnx = pytest.importorskip("onnx")
    written = io.BytesIO()
    program = torch.onnx.export(network, (volumes,), written if not dynamo else None, dynamo=dynamo)
    model = program.model_proto if dynamo else onnx.load_from_string(written.getvalue())
    operators = {node.op_type for node in model.graph.node}
    assert "Conv" in operators
    assert ("Clip" in operators) == any(isinstance(m, nn.ReLU6) for m in network.modules())


def test_a_counter_of_operations_sees_depthwise_convolutions():
    counted = []
    for module in (DepthwiseConv3d(16, 3), plain(nn.Sequential(DepthwiseConv3d(16, 3)))[0]):
        counter = FlopCounterMode(display=False)
        with counter:
            module(torch.rand(1, 16, 8, 8, 8))
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 0


def test_synchronised_normalisation_keeps_the_activation(network, volumes):
    expected = network(volumes)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(network))
    kinds = {type(m) for m in converted.modules()}
    assert nn.SyncBatchNorm in kinds
    assert nn.BatchNorm3d not in kinds
    close(converted(volumes), expected)


def test_no_subclass_of_batch_normalisation_does_more_than_that(network):
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert type(module) is nn.BatchNorm3d


@pytest.mark.parametrize("stride", [1, 2])
def test_a_fused_normalisation_is_not_lost_and_neither_is_the_activation(stride):
    convolution, both = DepthwiseConv3d(16, 3, stride).eval(), BatchNormReLU6(16).eval()
    nn.init.uniform_(both[0].bias, 0, 8)
    given = torch.rand(2, 16, 12, 12, 12)
    fused = nn.Sequential(fuse_conv_bn_eval(convolution, both[0]), both[1])
    assert fused[0].bias is not None
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            close(fused(given), both(convolution(given)))
    with pytest.raises(AttributeError):
        fuse_conv_bn_eval(convolution, both)  # it is no batch normalisation


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[0].register_forward_hook(lambda *_: torch.zeros(())),
        lambda m: m.__setitem__(0, nn.InstanceNorm3d(8)),
        lambda m: m.__setitem__(1, nn.ELU()),
    ],
)
def test_a_part_that_is_hooked_or_replaced_runs_as_it_is_now(change):
    module = BatchNormReLU6(8)
    change(module)
    given = torch.randn(2, 8, 14, 14, 14).contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(module(given), module[1](module[0](given)))


@pytest.mark.parametrize(
    "change",
    [
        {"bias": nn.Parameter(torch.ones(16))},
        {"dilation": (2, 2, 2), "padding": (2, 2, 2)},
        {"stride": (1, 2, 1)},
        {"padding": (0, 0, 0)},
    ],
)
def test_a_depthwise_convolution_that_was_changed_is_the_changed_one(change):
    module = DepthwiseConv3d(16, 3)
    torchs = plain(nn.Sequential(module))[0]
    for name, value in change.items():
        setattr(module, name, value)
        setattr(torchs, name, value)
    given = torch.rand(2, 16, 9, 9, 9)
    close(module(given), torchs(given))


def test_resampling_can_be_transformed(volumes):
    angle = torch.tensor(0.3)
    matrix = torch.eye(3, 4).repeat(2, 1, 1)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos(), -angle.sin()
    expected = resample(volumes, matrix)
    close(torch.func.vmap(lambda v, m: resample(v[None], m[None])[0])(volumes, matrix), expected)
    close(torch.jit.trace(resample, (volumes, matrix))(volumes, matrix), expected)


def test_nobody_looks_on_by_default():
    assert not watched(torch.zeros(1), nn.Parameter(torch.zeros(1)))
    assert watched(torch.zeros(1), None)
    block = MBConv3D(4, kernel=3, expansion=2)
    assert block.depthwise[0]._own_type(torch.rand(1, 8, 4, 4, 4)) == torch.float32
