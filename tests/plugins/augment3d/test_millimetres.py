"""Turns and scales are of the patient, not of the grid: voxels need not be cubes."""

from __future__ import annotations

import math

import pytest
import torch

import medpipe_core as mp
from medpipe_plugins.augment3d import (
    Affine,
    Blur,
    DRotation,
    HRotation,
    Shift,
    TrivialAugment,
    VRotation,
)


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


def spread(volume, spacing):
    """Return the middle of what is bright, and its deviation, in millimetres along each axis."""
    middles, deviations = [], []
    for axis, step in enumerate(spacing):
        others = tuple(other for other in range(3) if other != axis)
        weight = volume.sum(others).double()
        place = torch.arange(len(weight)) * step
        middle = (weight * place).sum() / weight.sum()
        middles.append(float(middle))
        deviations.append(float(((weight * (place - middle) ** 2).sum() / weight.sum()).sqrt()))
    return middles, deviations


def blurred(volumes, spacing, sigma, kernel, seed=0):
    operation = Blur(sigma=(sigma, sigma))
    operation.voxel_spacing = spacing
    draw = operation.draw_for(volumes, torch.Generator().manual_seed(seed), kernel=kernel)
    return operation.apply(volumes, draw)


@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (1.0, 2.0, 4.0), (1.0, 5.0, 1.0)])
def test_a_point_is_blurred_into_what_is_round_in_millimetres(spacing):
    shape = [2 * round(30 / step) + 1 for step in spacing]
    point = torch.zeros(1, 1, *shape)
    point[0, 0, shape[0] // 2, shape[1] // 2, shape[2] // 2] = 1
    found = blurred(point, spacing, sigma=5.0, kernel=41)
    middles, deviations = spread(found[0, 0], spacing)
    assert middles == pytest.approx([n // 2 * step for n, step in zip(shape, spacing, strict=True)])
    assert deviations == pytest.approx([5.0] * 3, rel=0.02)


def test_a_blur_finer_than_a_thick_slice_leaves_the_slices_apart():
    volumes = torch.rand(1, 1, 6, 12, 12, generator=torch.Generator().manual_seed(0))
    for kernel in (2, 3, 4):
        found = blurred(volumes, (5.0, 1.0, 1.0), sigma=1.0, kernel=kernel)
        for number, plane in enumerate(volumes[0, 0]):
            alone = blurred(plane[None, None, None], None, sigma=1.0, kernel=kernel)
            torch.testing.assert_close(found[0, 0, number], alone[0, 0, 0], rtol=1e-4, atol=1e-4)


def test_an_even_kernel_moves_by_half_a_voxel_of_the_finest_axis_alone():
    shape, spacing = (13, 31, 31), (5.0, 1.0, 1.0)
    point = torch.zeros(1, 1, *shape)
    point[0, 0, 6, 15, 15] = 1
    middles, _ = spread(blurred(point, spacing, sigma=3.0, kernel=4)[0, 0], spacing)
    assert middles == pytest.approx([30, 15.5, 15.5])


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0), (1.0, 1.0004, 1.0)])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_where_voxels_are_cubes_a_blur_is_the_same_bit_for_bit(spacing, kernel):
    volumes = torch.rand(2, 1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    operation = Blur()
    draws = []
    for one in (None, spacing):
        operation.voxel_spacing = one
        draws.append(operation.draw(2, torch.Generator().manual_seed(3), kernel=kernel))
    assert torch.equal(*draws)
    assert torch.equal(*(operation.apply(volumes, draw) for draw in draws))


def test_trivial_augment_blurs_in_millimetres_too():
    from medpipe_plugins.augment3d.trivial import OPERATIONS

    volumes = torch.rand(1, 1, 8, 12, 12, generator=torch.Generator().manual_seed(0))
    operation = TrivialAugment()
    operation.voxel_spacing = (5.0, 1.0, 1.0)
    one = torch.ones(1)
    seed = torch.zeros(1, dtype=torch.int64)
    draw = (torch.tensor([OPERATIONS.index("blur")]), one, one, torch.zeros(1, 3), seed)
    expected = blurred(volumes, operation.voxel_spacing, sigma=2.0, kernel=5)
    torch.testing.assert_close(operation.apply(volumes, *draw), expected)


def test_sizes_and_shifts_are_shares_and_the_same_for_every_spacing():
    volumes = torch.rand(1, 1, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    for operation, amount in ((Affine(), torch.tensor([1.3])), (Shift(), torch.full((1, 3), 0.1))):
        plain = operation.apply(volumes, amount)
        operation.voxel_spacing = (5.0, 1.0, 1.0)
        assert torch.equal(operation.apply(volumes, amount), plain)
