"""Signs, axes and units, pinned to kornia and scipy.ndimage."""

from __future__ import annotations

import kornia
import numpy as np
import pytest
import scipy.ndimage
import torch
from kornia.augmentation import (
    RandomAffine3D,
    RandomDepthicalFlip3D,
    RandomHorizontalFlip3D,
    RandomRotation3D,
    RandomVerticalFlip3D,
)

from medpipe_plugins.augment3d import (
    Affine,
    Blur,
    ColorJitter,
    DFlip,
    DRotation,
    Erase,
    HFlip,
    HRotation,
    Invert,
    Noise,
    VFlip,
    VRotation,
    uniform,
)
from medpipe_plugins.augment3d import magnitudes as grids


def smooth(count=2, size=(12, 14, 16)):
    """Volumes without sharp edges, dark at the border, of unequal axes."""
    rng = np.random.default_rng(0)
    array = np.zeros((count, 1, *size), np.float32)
    array[:, :, 4:-4, 4:-4, 4:-4] = rng.random((count, 1, *[s - 8 for s in size]))
    blurred = [scipy.ndimage.gaussian_filter(volume, 1.0) for volume in array[:, 0]]
    return torch.from_numpy(np.stack(blurred)[:, None])


@pytest.mark.parametrize(
    ("ours", "theirs", "axis"),
    [
        (VFlip, RandomVerticalFlip3D, 1),
        (HFlip, RandomHorizontalFlip3D, 2),
        (DFlip, RandomDepthicalFlip3D, 0),
    ],
)
def test_flips_agree_with_kornia_numpy_and_their_own_matrix(ours, theirs, axis):
    volumes = smooth()
    flipped = ours().apply(volumes)
    torch.testing.assert_close(flipped, theirs(p=1.0)(volumes))
    np.testing.assert_array_equal(flipped[1, 0], np.flip(volumes[1, 0].numpy(), axis))
    matrix = ours().matrix(volumes)
    warped = kornia.geometry.warp_affine3d(volumes, matrix, volumes.shape[-3:], align_corners=True)
    torch.testing.assert_close(warped, flipped, rtol=1e-4, atol=1e-5)


ROTATIONS = [
    # ours; place among kornia's yaw, pitch, roll; plane of array axes (D, H, W) = (0, 1, 2);
    # sign, because scipy sorts the axes of the plane
    (HRotation, 0, (0, 1), -1),
    (VRotation, 1, (0, 2), 1),
    (DRotation, 2, (1, 2), -1),
]


@pytest.mark.parametrize(("ours", "place", "plane", "sign"), ROTATIONS)
@pytest.mark.parametrize("angle", [-30.0, 12.5, 25.0])
def test_rotations_agree_with_kornia(ours, place, plane, sign, angle):
    volumes = smooth()
    ranges = [(0.0, 0.0)] * 3
    ranges[place] = (angle, angle)
    theirs = RandomRotation3D(tuple(ranges), p=1.0, align_corners=True)(volumes)
    found = ours().apply(volumes, torch.full((2,), angle))
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("ours", "place", "plane", "sign"), ROTATIONS)
@pytest.mark.parametrize("angle", [-30.0, 12.5, 25.0])
def test_rotations_agree_with_scipy_in_degrees(ours, place, plane, sign, angle):
    volumes = smooth()
    expected = scipy.ndimage.rotate(
        volumes[0, 0].numpy(), sign * angle, axes=plane, reshape=False, order=1
    )
    found = ours().apply(volumes, torch.full((2,), angle))[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)
    opposite = ours().apply(volumes, torch.full((2,), -angle))[0, 0].numpy()
    assert np.abs(opposite - expected).max() > 0.02


@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_scaling_agrees_with_kornia_and_scipy(factor):
    volumes = smooth()
    found = Affine().apply(volumes, torch.full((2,), factor))
    theirs = RandomAffine3D(0.0, scale=(factor, factor), p=1.0, align_corners=True)(volumes)
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-5)
    centre = (np.array(volumes.shape[-3:]) - 1) / 2
    expected = scipy.ndimage.affine_transform(
        volumes[0, 0].numpy(), np.eye(3) / factor, offset=centre - centre / factor, order=1
    )
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-3)


def test_scaling_above_one_makes_the_content_larger():
    volumes = smooth()
    larger = Affine().apply(volumes, torch.full((2,), 1.5))
    assert (larger > 0.05).sum() > 1.5 * (volumes > 0.05).sum()


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_blur_agrees_with_scipy(kernel):
    volumes = smooth()
    weights = Blur().draw(2, torch.Generator().manual_seed(0), kernel=kernel)
    expected = volumes[0, 0].numpy()
    for axis in range(3):
        expected = scipy.ndimage.correlate1d(
            expected, weights[0].numpy(), axis, mode="nearest", origin=0
        )
    found = Blur().apply(volumes, weights)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("kernel", "shift"), [(2, 0.5), (3, 0.0), (4, 0.5)])
def test_an_even_kernel_moves_the_content_by_half_a_voxel_and_keeps_its_sum(kernel, shift):
    volume = torch.zeros(1, 1, 15, 15, 15)
    volume[..., 7, 7, 7] = 1
    weights = Blur(sigma=(1.0, 1.0)).draw(1, torch.Generator().manual_seed(0), kernel=kernel)
    blurred = Blur().apply(volume, weights)
    index = torch.arange(15.0)
    centre = (blurred.sum((0, 1, 3, 4)) * index).sum()
    assert centre.item() == pytest.approx(7 + shift, abs=1e-4)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)


def test_inversion_agrees_with_kornia():
    volumes = smooth()
    expected = kornia.enhance.invert(volumes, torch.tensor(0.75))
    torch.testing.assert_close(Invert().apply(volumes, torch.full((2,), 0.75)), expected)


def test_jitter_agrees_with_kornias_brightness_and_contrast():
    volumes = smooth(count=1)
    slices = volumes.flatten(2, 3)  # kornia works on images; the mean is over the whole volume
    brighter = kornia.enhance.adjust_brightness_accumulative(slices, 1.3)
    expected = kornia.enhance.adjust_contrast_with_mean_subtraction(brighter, 0.6)
    found = ColorJitter().apply(volumes, torch.tensor([1.3]), torch.tensor([0.6]))
    torch.testing.assert_close(found.flatten(2, 3), expected)


def test_noise_has_the_stated_deviation_and_no_mean():
    volumes = torch.zeros(2, 1, 40, 40, 40)
    seeds = Noise(std=0.1).draw_for(volumes, torch.Generator().manual_seed(0))
    noise = Noise(std=0.1).apply(volumes, seeds)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert abs(noise.mean().item()) < 0.002


def test_erasing_takes_the_stated_share_and_shape():
    volumes = torch.ones(300, 1, 30, 30, 30)
    generator = torch.Generator().manual_seed(0)
    edges, place = Erase().draw(
        300, generator, scale_left=0.1, scale_right=0.1, ratio_left=2.0, ratio_right=2.0
    )
    erased = 1 - Erase().apply(volumes, edges, place)
    assert erased.mean((1, 2, 3, 4)).numpy() == pytest.approx(0.1, rel=0.15)
    height, width = erased.amax((2, 4)).sum(2)[:, 0], erased.amax((2, 3)).sum(2)[:, 0]
    assert (height / width).numpy() == pytest.approx(2.0, rel=0.15)
    starts = erased.flatten(1).argmax(1)
    assert len(set(starts.tolist())) > 100


def test_uniform_draws_lie_between_the_bounds_and_fill_them():
    drawn = uniform(20_000, 3.0, -1.0, torch.Generator().manual_seed(0))
    assert drawn.min() >= -1
    assert drawn.max() <= 3
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.05)


def test_grids_are_clean_decimals_as_table_one_states_them():
    assert grids.ROTATION_LEFT.values == (-30, -22.5, -15, -7.5, 0)
    assert grids.ERASE_SCALE_LEFT.keys == ("0.02", "0.04", "0.06", "0.08", "0.1")
    assert grids.ERASE_SCALE_RIGHT.keys == ("0.14", "0.18", "0.22", "0.26", "0.3")
    assert grids.ERASE_RATIO_RIGHT.keys == ("0.3", "0.975", "1.65", "2.325", "3")
    assert grids.AFFINE_RIGHT.keys == ("1.4", "1.8", "2.2", "2.6", "3")
