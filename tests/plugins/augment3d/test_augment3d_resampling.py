"""Where voxels go: directions, chains of matrices, thin volumes, the field of view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kornia.geometry.transform import warp_affine3d

from medpipe_plugins.augment3d import (
    Affine,
    DFlip,
    DRotation,
    HFlip,
    HRotation,
    VFlip,
    VRotation,
    resample,
)


def volumes(*shape, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def square(matrix):
    """Return `(count, 3, 4)` as `(count, 4, 4)`."""
    last = matrix.new_tensor([0, 0, 0, 1]).expand(len(matrix), 1, 4)
    return torch.cat((matrix, last), 1)


VARIANCE = 16
# Linear interpolation errs by at most an eighth of the curvature along each axis: the blob's is
# 1 / VARIANCE at its top.
ERROR = 3 / 8 / VARIANCE


def blob():
    """Return one smooth bright blob off the centre of a cube, faint at the border."""
    axes = torch.meshgrid(*[torch.arange(40, dtype=torch.float64)] * 3, indexing="ij")
    squares = sum((axis - place) ** 2 for axis, place in zip(axes, (17, 20, 23), strict=True))
    return torch.exp(-squares / (2 * VARIANCE))[None, None]


@pytest.mark.parametrize(
    ("operation", "start", "end"),
    [(VRotation(), 0, 2), (HRotation(), 1, 0), (DRotation(), 2, 1)],
)
def test_a_quarter_turn_takes_one_axis_to_the_next_as_documented(operation, start, end):
    # Array axes (D, H, W) = (0, 1, 2): V turns depth to width, H height to depth, D width to height
    cube = volumes(1, 1, 5, 5, 5, dtype=torch.float64)
    turned = operation.apply(cube, torch.tensor([90.0]))
    expected = np.rot90(cube[0, 0].numpy(), axes=(start, end))
    np.testing.assert_allclose(turned[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 1, 9, 9, 9), (3, 2, 5, 8, 11), (1, 1, 2, 3, 20)])
def test_resampling_agrees_with_kornia_for_any_affine_matrix(shape):
    batch = volumes(*shape, dtype=torch.float64)
    matrix = torch.eye(3, 4, dtype=torch.float64) + 0.2 * (
        volumes(shape[0], 3, 4, dtype=torch.float64) - 0.5
    )
    expected = warp_affine3d(batch, matrix, shape[2:], align_corners=True)
    # Not closer: kornia 0.8.1 computes a part of it in single precision.
    torch.testing.assert_close(resample(batch, matrix), expected, rtol=1e-9, atol=1e-7)


def test_resampling_by_the_unit_matrix_gives_the_volumes_back():
    batch = volumes(2, 1, 7, 8, 9)
    unit = torch.eye(3, 4).expand(2, 3, 4)
    torch.testing.assert_close(resample(batch, unit), batch, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("operation", [VFlip(), HFlip(), DFlip()])
def test_a_flip_and_its_matrix_are_the_same(operation):
    batch = volumes(2, 1, 5, 8, 11)
    resampled = resample(batch, operation.matrix(batch))
    torch.testing.assert_close(resampled, operation.apply(batch), rtol=1e-4, atol=1e-5)


def test_a_chain_is_the_product_of_its_matrices_and_one_resampling():
    batch = blob()
    angle, factor = torch.tensor([20.0]).double(), torch.tensor([0.9]).double()
    stepwise = VFlip().apply(batch)
    stepwise = VRotation().apply(stepwise, angle)
    stepwise = DRotation().apply(stepwise, -angle)
    stepwise = Affine().apply(stepwise, factor)
    steps = (
        VFlip().matrix(batch),
        VRotation().matrix(batch, angle),
        DRotation().matrix(batch, -angle),
        Affine().matrix(batch, factor),
    )
    product = torch.eye(4, dtype=torch.float64)
    for step in steps:
        product = square(step) @ product
    fused = resample(batch, product[:, :3])
    backwards = torch.eye(4, dtype=torch.float64)
    for step in reversed(steps):
        backwards = square(step) @ backwards
    assert (fused - stepwise).abs().max() < 4 * ERROR  # three interpolations against one
    assert (resample(batch, backwards[:, :3]) - stepwise).abs().max() > 8 * ERROR


def test_there_and_back_gives_smooth_content_again():
    batch = blob()
    angle, factor = torch.tensor([25.0]), torch.tensor([1.25])
    for operation, there, back in (
        (HRotation(), angle, -angle),
        (VRotation(), angle, -angle),
        (DRotation(), angle, -angle),
        (Affine(), factor, 1 / factor),
    ):
        again = operation.apply(operation.apply(batch, there), back)
        assert (again - batch).abs().max() < 2 * ERROR


def test_what_comes_from_outside_the_field_of_view_is_zero():
    ones = torch.ones(1, 1, 12, 12, 12)
    shrunk = Affine().apply(ones, torch.tensor([0.5]))
    assert shrunk[..., 4:8, 4:8, 4:8].min() > 1 - 1e-5
    outside = torch.ones(12, dtype=torch.bool)
    outside[2:10] = False
    assert shrunk[..., outside].abs().max() == 0
    assert DRotation().apply(ones, torch.tensor([30.0]))[..., 0, 0].abs().max() == 0


def test_scaling_changes_the_volume_of_the_content_by_the_cube_of_the_factor():
    batch = blob()
    factor = 0.5
    shrunk = Affine().apply(batch, torch.tensor([factor]))
    assert (shrunk.sum() / batch.sum()).item() == pytest.approx(factor**3, rel=0.02)


@pytest.mark.parametrize("shape", [(2, 1, 1, 6, 7), (2, 1, 6, 1, 7), (2, 1, 6, 7, 1)])
@pytest.mark.parametrize("operation", [VRotation(), HRotation(), DRotation()])
def test_a_volume_one_voxel_thick_turns_like_a_thicker_one_with_nothing_around_it(operation, shape):
    batch = volumes(*shape)
    thin = shape.index(1, 2)
    padded = torch.cat(
        [torch.zeros_like(batch)] * 2 + [batch] + [torch.zeros_like(batch)] * 2, thin
    )
    angle = torch.tensor([20.0, -10.0])
    expected = operation.apply(padded, angle).narrow(thin, 2, 1)
    torch.testing.assert_close(operation.apply(batch, angle), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_volumes_are_resampled_at_full_precision(dtype):
    batch = volumes(1, 1, 4, 6, 40)
    angle = torch.tensor([13.0])
    half = DRotation().apply(batch.to(dtype), angle)
    assert half.dtype == dtype
    expected = DRotation().apply(batch.to(dtype).float(), angle)
    torch.testing.assert_close(half.float(), expected, rtol=0.01, atol=0.001)


def test_a_matrix_can_be_learned():
    batch = volumes(1, 1, 4, 5, 6, dtype=torch.float64)
    matrix = torch.eye(3, 4, dtype=torch.float64)[None] + 0.1 * volumes(1, 3, 4).double()
    assert torch.autograd.gradcheck(resample, (batch, matrix.requires_grad_()))
