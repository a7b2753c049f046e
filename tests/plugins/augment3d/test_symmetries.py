"""The exact symmetries that flips and rotations say they make are what they do."""

from __future__ import annotations

import pytest
import torch

from medpipe_plugins import augment3d

VOLUMES = torch.rand(1, 2, 5, 5, 5, generator=torch.Generator().manual_seed(0))
ROTATIONS = [augment3d.VRotation, augment3d.HRotation, augment3d.DRotation]


@pytest.mark.parametrize("made", [augment3d.VFlip, augment3d.HFlip, augment3d.DFlip])
def test_a_flip_is_its_mirror(made):
    (mirror,) = made().symmetries(3)
    assert torch.equal(made().apply(VOLUMES), mirror(VOLUMES))


@pytest.mark.parametrize("made", ROTATIONS)
@pytest.mark.parametrize("degrees", [90.0, 180.0, 270.0, -90.0, -180.0])
def test_a_rotation_by_right_angles_is_its_symmetry(made, degrees):
    (turn,) = made().symmetries(3, left=degrees, right=degrees)
    rotated = made().apply(VOLUMES, torch.tensor([degrees]))
    torch.testing.assert_close(rotated, turn(VOLUMES), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("left", "right", "count"),
    [(-30, 30, 0), (-30, 90, 1), (-90, 90, 2), (-180, 180, 3), (80, -100, 1), (0, 360, 3)],
)
def test_only_angles_that_are_drawn_count(left, right, count):
    assert len(augment3d.DRotation().symmetries(3, left=left, right=right)) == count


def test_where_voxels_are_no_cubes_only_half_turns_take_voxels_to_voxels():
    rotation = augment3d.VRotation()  # depth turns towards width
    rotation.voxel_spacing = (3.0, 1.0, 1.0)
    (half,) = rotation.symmetries(3, left=-180, right=180)
    rotated = rotation.apply(VOLUMES, torch.tensor([180.0]))
    torch.testing.assert_close(rotated, half(VOLUMES), atol=1e-4, rtol=0)
    rotation.voxel_spacing = (3.0, 1.0, 3.0)
    assert len(rotation.symmetries(3, left=-180, right=180)) == 3


def test_other_operations_have_none():
    for made in (augment3d.Affine, augment3d.Noise, augment3d.Erase, augment3d.Shift):
        assert made().symmetries(3) == ()
