"""Chains of operations that move voxels: one resampling, and what it may differ in."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage
import torch

from medpipe_core import Decision, Policy
from medpipe_core.supernet import PolicyLayer
from medpipe_plugins.augment3d import (
    Affine,
    DFlip,
    DRotation,
    Erase,
    HFlip,
    HRotation,
    Noise,
    VFlip,
    VRotation,
    Warp,
    Warp3D,
    uniform,
    warping,
)

TURN = {"left": 30, "right": -30}
QUARTER = {"left": 90, "right": 90}
BOX = {"scale_left": 0.06, "scale_right": 0.2, "ratio_left": 0.6, "ratio_right": 1.6}
CHAIN = [
    (HFlip, {}),
    (VFlip, {}),
    (VRotation, TURN),
    (HRotation, TURN),
    (DRotation, TURN),
    (Erase, BOX),
    (Affine, {"left": 0.7, "right": 1.3}),
    (DFlip, {}),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def policy_of(chain, p=1.0):
    return Policy(
        PolicyLayer(f"{i}", operation(), p, magnitudes, (f"{i}/p",))
        for i, (operation, magnitudes) in enumerate(chain)
    )


def volumes(count=3, size=(9, 9, 9), dtype=torch.float64, channels=2):
    return torch.rand(count, channels, *size, generator=generator(1), dtype=dtype)


def blobs(count=2):
    """Smooth content, dark at the border, in cubes."""
    noise = torch.rand(count, 1, 32, 32, 32, generator=generator(2)).numpy()
    noise[:, :, :10], noise[:, :, -10:] = 0, 0
    noise[..., :10, :], noise[..., -10:, :], noise[..., :10], noise[..., -10:] = 0, 0, 0, 0
    return torch.from_numpy(scipy.ndimage.gaussian_filter(noise, (0, 0, 3, 3, 3))).double()


def test_a_chain_of_flips_is_exact():
    policy = policy_of([(HFlip, {}), (DFlip, {}), (VFlip, {}), (HFlip, {})], p=0.5)
    batch = volumes(60, (4, 5, 6), torch.float32)
    fused = policy(batch, generator())
    assert torch.equal(fused, policy.layer_by_layer(batch, generator()))
    assert not torch.equal(fused, batch)


def test_flipping_twice_leaves_the_volume_as_it_was():
    batch = volumes()
    assert torch.equal(policy_of([(VFlip, {}), (VFlip, {})])(batch, generator()), batch)


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_quarter_turns_and_flips_are_what_they_are_layer_by_layer_with_their_gates(p):
    chain = [
        (HFlip, {}), (VRotation, QUARTER), (DFlip, {}), (HRotation, QUARTER), (Erase, BOX),
        (DRotation, QUARTER), (VFlip, {}),
    ]  # fmt: skip
    policy, batch = policy_of(chain, p), volumes(8)
    weights = torch.rand(batch.shape, generator=generator(3), dtype=torch.float64)
    results, gradients = [], []
    for run in (policy, policy.layer_by_layer):
        gates = {f"{i}/p": torch.ones((), requires_grad=True) for i in range(len(chain))}
        decision = SimpleNamespace(gate=Decision(None, gates).gate)
        results.append(run(batch, generator(), decision))
        (results[-1] * weights).sum().backward()
        gradients.append(torch.stack([gate.grad for gate in gates.values()]))
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)  # angles are drawn in float32
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=0)


def test_every_gate_of_a_chain_gets_the_inner_product_of_output_and_gradient():
    # Each operation is linear, so that the gradient by a factor behind any of them is that.
    policy, batch = policy_of(CHAIN, 0.7), volumes(6)
    weights = torch.rand(batch.shape, generator=generator(3), dtype=torch.float64)
    gates = {f"{i}/p": torch.ones((), requires_grad=True) for i in range(len(CHAIN))}
    output = policy(batch, generator(), SimpleNamespace(gate=Decision(None, gates).gate))
    (output * weights).sum().backward()
    expected = (output.detach() * weights).sum().float()
    for gate in gates.values():
        torch.testing.assert_close(gate.grad, expected)


def test_a_gate_before_the_chain_gets_its_gradient_through_it():
    batch = volumes(4, dtype=torch.float32)
    policy = policy_of([(Noise, {}), *CHAIN], 0.8)
    gates = {"0/p": torch.ones((), requires_grad=True)}
    output = policy(batch, generator(), SimpleNamespace(gate=Decision(None, gates).gate))
    weights = torch.rand(batch.shape, generator=generator(3))
    (output * weights).sum().backward()
    expected = (output.detach() * weights).sum()  # what follows the noise is linear
    torch.testing.assert_close(gates["0/p"].grad, expected, rtol=1e-4, atol=0)


def test_a_chain_is_one_affine_transform_by_the_product_of_the_matrices():
    batch = volumes(1, (7, 9, 11), channels=1)
    angles, factor = torch.tensor([[25.0], [-40.0], [15.0]]).double(), torch.tensor([1.2]).double()
    composed, product = Warp(batch), np.eye(4)
    rows = torch.arange(1)
    for operation, *draw in (
        (HFlip(),),
        (VRotation(), angles[0]),
        (HRotation(), angles[1]),
        (DFlip(),),
        (DRotation(), angles[2]),
        (Affine(), factor),
    ):
        operation.join(composed, rows, *draw)
        matrix = operation.matrix(batch, *draw)[0].numpy()
        product = np.vstack((matrix, [0, 0, 0, 1])) @ product
    back = np.linalg.inv(product)
    expected = scipy.ndimage.affine_transform(  # whose axes are (z, y, x)
        batch[0, 0].numpy(),
        back[2::-1, 2::-1],
        offset=back[2::-1, 3],
        order=1,
        mode="grid-constant",
    )
    np.testing.assert_allclose(composed.result()[0, 0].numpy(), expected, atol=1e-12)


def test_fused_and_layer_by_layer_differ_by_interpolation_only():
    batch = blobs()
    policy = policy_of([layer for layer in CHAIN if layer[0] is not Erase])
    fused, stepwise = policy(batch, generator()), policy.layer_by_layer(batch, generator())
    # Four interpolations against one: each errs by an eighth of the curvature along each axis.
    curvature = max(np.abs(np.diff(batch.numpy(), 2, axis)).max() for axis in (2, 3, 4))
    assert 0 < (fused - stepwise).abs().max() < 5 * 3 / 8 * curvature


@pytest.mark.parametrize("after", [(DFlip, {}), (Affine, {"left": 0.6, "right": 1.4})])
def test_an_erased_box_goes_where_the_next_operation_takes_it(after):
    batch = torch.ones(8, 1, 24, 24, 24, dtype=torch.float64)
    policy = policy_of([(Erase, BOX), after])
    fused, stepwise = policy(batch, generator()), policy.layer_by_layer(batch, generator())
    sure = (stepwise < 1e-6) | (stepwise > 1 - 1e-6)
    assert sure.double().mean() > 0.6
    torch.testing.assert_close(fused[sure], stepwise[sure], rtol=0, atol=1e-4)
    assert (fused - stepwise).abs().max() < 0.55


def test_a_box_that_nothing_moves_is_exactly_zero():
    batch = 0.5 + volumes(6, (8, 9, 10), torch.float32)
    chain = [(VRotation, TURN), (Affine, {"left": 1.5, "right": 1.5}), (Erase, BOX)]
    fused = policy_of(chain)(batch, generator())
    shares = (fused == 0).double().mean((1, 2, 3, 4))
    assert shares.min() > 0.03


def test_volumes_without_an_active_operation_keep_their_bits_and_the_input_is_not_changed():
    batch = volumes(40, (6, 7, 8), torch.float32)
    before = batch.clone()
    policy = policy_of(CHAIN, 0.15)
    untouched = (torch.rand(len(CHAIN), 40, generator=generator()) >= 0.15).all(0)
    after = policy(batch, generator())
    assert 2 < untouched.sum() < 30
    assert torch.equal(after[untouched], before[untouched])
    assert torch.equal(batch, before)


def test_only_touched_volumes_are_resampled(monkeypatch):
    resampled = []

    def count(volumes, back, rows):
        resampled.append(len(rows))
        return volumes.clone()

    monkeypatch.setattr(warping, "resample_back", count)
    policy_of([(HFlip, {}), (VRotation, TURN), (DRotation, TURN)], 0.3)(volumes(40), generator())
    _, *turned = torch.rand(3, 40, generator=generator()) < 0.3
    assert resampled == [(turned[0] | turned[1]).sum().item()]


def test_an_operation_of_another_package_joins_by_its_matrix():
    class Shear(Warp3D):
        def draw(self, count, generator):
            return uniform(count, 0.1, 0.3, generator)

        def matrix(self, volumes, amount):
            matrix = torch.eye(3, 4, dtype=amount.dtype).repeat(len(amount), 1, 1)
            matrix[:, 0, 1] = amount
            return matrix

    chain, batch = [(VFlip, {}), (Shear, {}), (HFlip, {})], volumes(4, dtype=torch.float32)
    policy = policy_of(chain)
    fused, stepwise = policy(batch, generator()), policy.layer_by_layer(batch, generator())
    assert Shear.fusion is Warp
    torch.testing.assert_close(fused, stepwise, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_and_composed_in_single(dtype):
    batch = volumes(2, dtype=torch.float32).to(dtype)
    half = policy_of(CHAIN)(batch, generator())
    full = policy_of(CHAIN)(batch.float(), generator())
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), full, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("touched", [[0, 1, 2], [0, 2]])
def test_an_angle_can_be_learned_through_a_chain(touched):
    batch, rows = volumes(3, (4, 5, 6)), torch.tensor(touched)
    angles = torch.tensor([20.0, -10.0, 5.0]).double()[rows].requires_grad_()

    def turned(angles):
        composed = Warp(batch)
        VRotation().join(composed, rows, angles)
        DRotation().join(composed, rows, -angles)
        return composed.result()

    assert torch.autograd.gradcheck(turned, angles)
