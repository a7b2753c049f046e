"""TrivialAugment: one operation a volume, whatever the rest of the batch gets."""

from __future__ import annotations

import pytest
import torch

import medpipe_core as mp
from medpipe_plugins.augment3d import DFlip, DRotation, Shift, TrivialAugment, resample
from medpipe_plugins.augment3d.trivial import DEGREES, OPERATIONS


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def volumes(count, size=(6, 7, 8)):
    return torch.rand(count, 1, *size, generator=generator(3))


def draw_of(name, count, strength=1.0, sign=1.0):
    """Return a draw in which every volume gets one operation."""
    _, _, _, place, seed = TrivialAugment().draw(count, generator(1))
    full = torch.ones(count)
    return torch.full((count,), OPERATIONS.index(name)), strength * full, sign * full, place, seed


def test_every_operation_comes_up_about_equally_often():
    operation, strength, sign, *_ = TrivialAugment().draw(15_000, generator())
    counts = torch.bincount(operation, minlength=len(OPERATIONS))
    assert counts.min() > 850
    assert counts.max() < 1150
    assert abs(strength.mean() - 0.5) < 0.01
    assert set(sign.tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_changes_volumes_but_the_identity(name):
    batch = volumes(3)
    after = TrivialAugment().apply(batch, *draw_of(name, 3))
    changed = (after != batch).flatten(1).any(1)
    assert changed.tolist() == [name != "identity"] * 3


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_a_volume_gets_does_not_depend_on_the_others(name):
    batch = volumes(4)
    draw = TrivialAugment().draw(4, generator(5))
    draw[0][1] = OPERATIONS.index(name)
    together = TrivialAugment().apply(batch, *draw)
    alone = TrivialAugment().apply(batch[1:2], *(part[1:2] for part in draw))
    torch.testing.assert_close(together[1:2], alone)


def test_the_operations_are_those_of_the_bundle():
    batch = volumes(2)
    flipped = TrivialAugment().apply(batch, *draw_of("d_flip", 2))
    assert flipped.equal(DFlip().apply(batch))
    turned = TrivialAugment().apply(batch, *draw_of("d_rotation", 2, strength=0.5, sign=-1.0))
    expected = DRotation().apply(batch, torch.full((2,), -DEGREES / 2))
    torch.testing.assert_close(turned, expected)


def test_at_strength_zero_nothing_moves():
    batch = volumes(2)
    for name in ("v_rotation", "affine", "shift", "brightness", "contrast", "noise", "blur"):
        after = TrivialAugment().apply(batch, *draw_of(name, 2, strength=0.0))
        torch.testing.assert_close(after, batch, atol=1e-5, rtol=0)


def test_a_shift_by_whole_voxels_moves_them_and_brings_zeros_in():
    batch = volumes(1, size=(4, 5, 10))
    moved = Shift().apply(batch, torch.tensor([[0.2, 0.0, 0.25]]))  # two along width, one depth
    assert torch.allclose(moved[..., 1:, :, 2:], batch[..., :-1, :, :-2], atol=1e-5)
    assert moved[..., 0, :, :].eq(0).all()
    assert moved[..., :2].eq(0).all()
    matrix = torch.eye(3, 4)[None]
    assert torch.allclose(resample(batch, matrix), batch, atol=1e-6)


def test_it_takes_the_place_of_the_papers_policy_by_name():
    settings = {"layers": ("trivial_augment",), "probabilities": (1.0,)}
    space = mp.load_plugins().space("medpipe-joint", augment=settings)
    policy = mp.build_policy(space, space.sample(seed=0))
    assert [type(layer.operation) for layer in policy.layers] == [TrivialAugment]
    assert policy(volumes(8), generator()).shape == (8, 1, 6, 7, 8)


def test_predictions_can_be_averaged_over_the_mirrors_among_its_operations():
    assert set(TrivialAugment().symmetries(3)) == {
        mp.Symmetry.mirror(axis, 3) for axis in (-3, -2, -1)
    }
    assert TrivialAugment(forbid=("side",)).symmetries(3) == ()
