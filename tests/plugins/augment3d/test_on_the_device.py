"""On a GPU a policy sends a few numbers, launches a few kernels, and asks the device nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from medpipe_core import Policy, load_plugins
from medpipe_core.supernet import PolicyLayer
from medpipe_plugins.augment3d import Warp3D, filtering, on_gpu, uniform, warp

REGISTRY = load_plugins()
LAYERS = ("noise", "v_flip", "h_flip", "d_flip", "v_rotation", "h_rotation", "d_rotation", "erase",
          "affine", "blur", "invert", "color_jitter")  # fmt: skip
VIEWS = {"detach", "alias", "slice", "view", "expand", "t", "select"}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def policy_of(*names, p=1.0):
    layers = []
    for name in names:
        operation = REGISTRY.factory("augmentation", name)()
        last = {key: choice.values[-1] for key, choice in operation.magnitudes().items()}
        layers.append(PolicyLayer(name, operation, p, last, (f"{name}/p",)))
    return Policy(layers)


@pytest.fixture
def launched(monkeypatch):
    """Send every fusion to the kernels for GPUs."""
    for module in (warp, filtering):
        monkeypatch.setattr(module, "route", lambda _: "launched")


@pytest.fixture
def stubs(monkeypatch, launched):
    """Put functions in the kernels' place that only count; return the counts."""
    calls = Counter()

    def warped(volumes, table, boxes):
        assert table.shape == (len(volumes), 13 + 18 * boxes)
        assert table.dtype == torch.float32
        assert table.device == volumes.device
        calls["warp"] += 1
        return torch.empty_like(volumes)

    def filtered(volumes, steps):
        calls["filter"] += 1
        calls["steps"] += len(steps)
        assert all(isinstance(rows, np.ndarray) for _, rows, _ in steps)  # not on the device
        return torch.empty_like(volumes)

    monkeypatch.setattr(on_gpu, "warp_on_gpu", warped)
    monkeypatch.setattr(on_gpu, "filter_on_gpu", filtered)
    return calls


class Counted(TorchDispatchMode):
    """Counts torch's operators that give something on a device, views left out."""

    def __init__(self, device):
        super().__init__()
        self.device, self.found = device, Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if isinstance(result, torch.Tensor) and result.device.type == self.device:
            self.found[name] += name not in VIEWS
        return result


@pytest.mark.parametrize("p", [1.0, 0.4])
def test_twelve_layers_are_three_launches_and_nothing_is_fetched(stubs, p):
    # A tensor on this device has no numbers: whatever asks for one fails.
    volumes = torch.empty(16, 1, 7, 8, 9, device="meta")
    after = policy_of(*LAYERS, p=p)(volumes, generator())
    assert after.shape == volumes.shape
    assert after.device == volumes.device
    assert stubs == {"warp": 1, "filter": 2, "steps": 7}


@pytest.mark.parametrize("p", [1.0, 0.4])
def test_what_torch_itself_does_on_the_device_is_one_upload_for_a_warp(stubs, monkeypatch, p):
    monkeypatch.setattr(warp, "watched", lambda *_: False)  # by the count itself
    volumes = torch.empty(16, 1, 7, 8, 9, device="meta")
    with Counted("meta") as counted:
        policy_of(*LAYERS, p=p)(volumes, generator())
    assert +counted.found == {"_to_copy": 1, "empty_like": 3}  # and the three stubs' results


def test_trivial_augment_asks_the_device_nothing(stubs):
    volumes = torch.empty(64, 1, 7, 8, 9, device="meta")
    policy_of("trivial_augment")(volumes, generator())
    assert stubs["warp"] == stubs["filter"] == 1


def test_a_matrix_of_another_package_is_made_on_the_cpu(stubs):
    class Shear(Warp3D):
        def draw(self, count, generator):
            return uniform(count, 0.1, 0.3, generator)

        def matrix(self, volumes, amount):
            assert volumes.shape == (16, 1, 7, 8, 9)
            matrix = torch.eye(3, 4, dtype=amount.dtype, device=volumes.device)
            matrix = matrix.repeat(len(amount), 1, 1)
            matrix[:, 0, 1] = amount
            return matrix

    volumes = torch.empty(16, 1, 7, 8, 9, device="meta")
    Policy([PolicyLayer("shear", Shear(), 1.0, {}, ())])(volumes, generator())
    assert stubs["warp"] == 1


@pytest.mark.parametrize("names", [LAYERS[1:], ("trivial_augment",)])
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_torchs_own_operators_ask_the_device_nothing_either(monkeypatch, names, p):
    for module in ("warp", "filtering", "resampling"):
        monkeypatch.setattr(f"medpipe_plugins.augment3d.{module}.route", lambda _: "torch")
    if names == ("trivial_augment",):  # noise needs numbers, which this device has not
        monkeypatch.setattr("medpipe_plugins.augment3d.changes.Gaussian._draw", lambda *_: None)
    volumes = torch.empty(32, 1, 7, 8, 9, device="meta")
    assert policy_of(*names, p=p)(volumes, generator()).shape == volumes.shape


@pytest.mark.parametrize("names", [LAYERS[1:9], LAYERS[9:], LAYERS[1:], LAYERS[1:4]])
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_the_kernels_do_what_is_done_on_the_cpu(launched, monkeypatch, names, p):
    pytest.importorskip("triton")
    volumes = torch.rand(4, 1, 7, 8, 9, generator=generator(1))
    policy = policy_of(*names, p=p)
    found = policy(volumes, generator())
    monkeypatch.undo()
    expected = policy(volumes, generator())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    if names == LAYERS[1:4]:
        assert torch.equal(found, expected)


def test_noise_of_the_kernel_has_the_stated_deviation_and_the_same_draws_follow(launched):
    pytest.importorskip("triton")
    volumes = torch.zeros(2, 1, 16, 16, 16)
    one, other = generator(), generator()
    noise = policy_of("noise")(volumes, one)
    policy_of("noise").layer_by_layer(volumes, other)
    assert noise.std().item() == pytest.approx(0.05, rel=0.05)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(one.get_state(), other.get_state())
