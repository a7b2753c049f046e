"""Turns and scales are of the patient, not of the grid: voxels need not be cubes."""

from __future__ import annotations

import math

import pytest
import torch

import medpipe_core as mp
from medpipe_plugins.augment3d import Affine, DRotation, HRotation, TrivialAugment, VRotation


def ball(shape, spacing, centre):
    """Return the share of each voxel's middle that lies in a ball of 30 mm, and the middles."""
    places = torch.meshgrid(
        *(torch.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"
    )
    away = sum((p - c) ** 2 for p, c in zip(places, centre, strict=True)).sqrt()
    return (away <= 30).float()[None, None], places


@pytest.mark.parametrize("turn", [VRotation, HRotation, DRotation])
@pytest.mark.parametrize("angle", [90.0, 37.0, -120.0])
@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (1.0, 2.0, 4.0)])
def test_a_ball_in_millimetres_stays_one_where_voxels_are_no_cubes(turn, angle, spacing):
    shape = [round(120 / s) + 1 for s in spacing]
    middle = [(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    volumes, places = ball(shape, spacing, [m + d for m, d in zip(middle, (10, 5, 5), strict=True)])
    operation = turn()
    operation.voxel_spacing = spacing
    turned = operation.apply(volumes, torch.tensor([angle]))[0, 0]
    # The centre went round in millimetres; about it the ball still has one radius.
    centre = [float((turned * p).sum() / turned.sum()) for p in places]
    away = math.dist(centre, middle)
    assert away == pytest.approx(math.sqrt(150), abs=0.5)
    expected, _ = ball(shape, spacing, centre)
    wrong = float((turned - expected[0, 0]).abs().sum() / expected.sum())
    assert wrong < 0.25
    plain = turn().apply(volumes, torch.tensor([angle]))[0, 0]
    if operation.axis != 2 or spacing[1] != spacing[2]:
        assert float((plain - turned).abs().sum() / expected.sum()) > 0.3


def test_a_scale_is_alike_in_millimetres_along_all_axes():
    spacing, shape = (5.0, 1.0, 1.0), (25, 121, 121)
    volumes, _ = ball(shape, spacing, (60, 60, 60))
    operation = Affine()
    operation.voxel_spacing = spacing
    scaled = operation.apply(volumes, torch.tensor([0.5]))[0, 0] > 0.5
    extents = [
        float((scaled.any(other).nonzero().max() - scaled.any(other).nonzero().min()) * s)
        for other, s in zip(((1, 2), (0, 2), (0, 1)), spacing, strict=True)
    ]
    assert extents == pytest.approx([30] * 3, abs=5)


def test_a_turn_by_90_degrees_is_a_symmetry_where_voxels_are_square_alone():
    for turn, spacing, count in (
        (DRotation(), (5.0, 1.0, 1.0), 3),
        (VRotation(), (5.0, 1.0, 1.0), 1),
        (HRotation(), (5.0, 1.0, 1.0), 1),
        (HRotation(), None, 3),
    ):
        turn.voxel_spacing = spacing
        found = turn.symmetries(3, left=-180, right=180)
        assert len(found) == count
        cubes = type(turn)().symmetries(3, left=-180, right=180)
        assert found == (cubes if count == 3 else (cubes[1],))


def test_a_policy_tells_its_operations_how_far_voxels_are_apart():
    space = mp.load_plugins().space("medpipe-augment")
    genotype = space.sample(seed=0)
    for layer in mp.build_policy(space, genotype, spacing=(5.0, 1.0, 1.0)).layers:
        assert layer.operation.voxel_spacing == (5.0, 1.0, 1.0)
    for layer in mp.build_policy(space, genotype).layers:
        assert layer.operation.voxel_spacing is None


def test_trivial_augment_turns_in_millimetres_too():
    volumes = torch.rand(1, 1, 8, 12, 12, generator=torch.Generator().manual_seed(0))
    operation, turn = TrivialAugment(), HRotation()
    operation.voxel_spacing = turn.voxel_spacing = (5.0, 1.0, 1.0)
    from medpipe_plugins.augment3d.trivial import DEGREES, OPERATIONS

    number = torch.tensor([OPERATIONS.index("h_rotation")])
    one = torch.ones(1)
    draw = (number, one, one, torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))
    expected = turn.apply(volumes, torch.tensor([DEGREES]))
    assert torch.equal(operation.apply(volumes, *draw), expected)
