from __future__ import annotations

import torch
from torch import nn

from medpipe_core.supernet import gated


def test_the_value_is_the_output_itself_and_gradients_are_those_of_a_product():
    output = torch.randn(3, 4, requires_grad=True)
    gate = torch.ones((), requires_grad=True)
    incoming = torch.randn(3, 4)
    ours = torch.autograd.grad(gated(output, gate), (output, gate), incoming)
    plain = torch.autograd.grad(output * gate, (output, gate), incoming)
    assert torch.equal(gated(output, gate), output)
    torch.testing.assert_close(ours, plain)


def test_half_precision_sums_in_float32():
    output = torch.full((4096,), 1.0, dtype=torch.bfloat16, requires_grad=True)
    gate = torch.ones((), requires_grad=True)
    gated(output, gate).backward(torch.full((4096,), 1.001, dtype=torch.bfloat16))
    assert gate.grad.dtype == torch.float32
    assert gate.grad == 4096 * torch.tensor(1.001, dtype=torch.bfloat16).float()


def test_a_gate_saves_no_bytes_that_the_plain_path_does_not():
    layers = nn.Sequential(nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.Conv3d(4, 4, 1))
    volumes = torch.rand(2, 2, 8, 8, 8)

    def saved_bytes(gate):
        storages = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layers[2](gated(layers[1](layers[0](volumes)), gate)).sum()
        return sum(storages.values())

    assert saved_bytes(torch.ones((), requires_grad=True)) == saved_bytes(None)


def test_the_backward_pass_of_a_gate_copies_nothing_that_lies_channels_last():
    wide = torch.rand(8, 64, 12, 12, 12).contiguous(memory_format=torch.channels_last_3d)
    output, gate = wide.clone().requires_grad_(), torch.ones((), requires_grad=True)
    through = gated(output, gate)
    with torch.profiler.profile(profile_memory=True) as found:
        to_gate = torch.autograd.grad(through, gate, wide)[0]
    most = max(event.cpu_memory_usage for event in found.events())
    assert most < wide.nbytes / 100
    expected = wide.double().square().sum().float()  # in whatever order floats are summed
    torch.testing.assert_close(to_gate, expected, rtol=1e-5, atol=0)
