"""Which way axes run, how far voxels are apart and what is cut, with the affine that says so."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpipe_core.data import DataError, Volume
from medpipe_plugins.preparations.grid import Centre, CropBody, Orient, Resample, Resize

SIGNED = [
    np.array([[s if row == axis else 0 for axis in order] for row, s in enumerate(signs)])
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def ramp(shape, affine):
    """A scan whose voxels hold a linear function of their place in millimetres."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    place = index @ affine[:3, :3].T + affine[:3, 3]
    return Volume((place @ (1.0, 10.0, 100.0)).astype(np.float32), affine)


def agrees(scan, tolerance=1e-2):
    """Whether voxels of a ramp are still where the affine says."""
    again = ramp(scan.values.shape, scan.affine)
    return np.abs(again.values - scan.values).max() < tolerance


def affine_of(rotation, spacing=(2.0, 3.0, 4.0), origin=(5.0, -7.0, 11.0)):
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("rotation", SIGNED, ids=str)
def test_any_axes_become_up_back_left(rotation):
    scan = Orient()(ramp((3, 4, 5), affine_of(rotation)))
    lengths = scan.affine[:3, :3] / np.array(scan.spacing)
    assert np.allclose(lengths, [[0, 0, -1], [0, -1, 0], [1, 0, 0]])
    assert agrees(scan)
    again = Orient()(scan)
    assert np.array_equal(again.values, scan.values)


def test_an_oblique_scan_keeps_its_voxels_and_its_place():
    angle = np.deg2rad(20)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    scan = ramp((4, 5, 6), affine_of(np.array(turn)))
    oriented = Orient()(scan)
    assert oriented.values.shape == (6, 5, 4)
    assert agrees(oriented)
    assert np.array_equal(np.sort(oriented.values.ravel()), np.sort(scan.values.ravel()))


def test_without_geometry_slices_stay_or_are_refused():
    scan = Volume(np.zeros((2, 3, 4), np.float32))
    assert Orient()(scan) is scan
    with pytest.raises(DataError, match="how the patient lay"):
        Orient(unknown="refuse")(scan)


def test_resampling_keeps_what_is_linear_and_says_where_voxels_are():
    scan = ramp((12, 16, 9), affine_of(np.eye(3)))
    fine = Resample(spacing=1.0)(scan)
    assert fine.values.shape == (24, 48, 36)
    assert np.allclose(fine.spacing, 1)
    inside = (slice(2, -2),) * 3
    expected = ramp(fine.values.shape, fine.affine).values
    assert np.allclose(fine.values[inside], expected[inside], atol=1e-2)
    centre = [(n - 1) / 2 for n in scan.values.shape]
    new_centre = [(n - 1) / 2 for n in fine.values.shape]
    assert np.allclose(scan.affine @ [*centre, 1], fine.affine @ [*new_centre, 1])


def test_resampling_wants_to_know_the_spacing():
    with pytest.raises(DataError, match="how far voxels are apart"):
        Resample()(Volume(np.zeros((2, 3, 4), np.float32)))


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_resizing_is_what_torch_calls_trilinear_where_it_grows(shape, grown):
    size = tuple(map(max, shape, grown))
    values = np.random.default_rng(0).random(shape, np.float32)
    found = Resize(size=size)(Volume(values)).values
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=size, mode="trilinear"
    )
    assert np.allclose(found, expected[0, 0].numpy(), atol=1e-5)


def test_shrinking_averages_so_that_no_voxel_is_lost():
    values = np.zeros((16, 16, 16), np.float32)
    values[7, 7, 7] = 1
    small = Resize(size=4)(Volume(values)).values
    assert small.shape == (4, 4, 4)
    assert small.sum() * 64 == pytest.approx(1, rel=0.3)
    assert small.min() >= 0
    assert small.max() <= 1


def test_nan_is_refused_before_it_spreads():
    with pytest.raises(DataError, match="'fill'"):
        Resize(size=2)(Volume(np.array([[[np.nan, 1.0]]], np.float32)))


def test_the_centre_is_cut_or_padded_and_keeps_its_place():
    scan = ramp((5, 8, 3), affine_of(np.eye(3)))
    found = Centre(size=(3, 10, 3), value=-5)(scan)
    assert found.values.shape == (3, 10, 3)
    assert (found.values[:, [0, -1]] == -5).all()
    cut = Centre(size=(3, 8, 3))(scan)
    assert agrees(cut)
    assert np.array_equal(found.values[:, 1:-1], cut.values)


def test_the_body_is_the_largest_bright_part():
    values = np.full((20, 20, 20), -1000, np.float32)
    values[5:12, 6:15, 4:9] = 40
    values[18, 18, 18] = 3000
    found = CropBody(threshold=-500, margin=1)(Volume(values, affine_of(np.eye(3))))
    assert found.values.shape == (9, 11, 7)
    assert found.values.max() == 40
    assert np.allclose(found.affine[:3, 3], np.array([5, -7, 11]) + np.array([4, 5, 3]) * (2, 3, 4))
    assert CropBody(margin=1)(Volume(values[:16])).values.shape == (9, 11, 7)  # Otsu's


def test_a_dark_scan_stays_whole():
    found = CropBody(threshold=0)(Volume(np.full((3, 4, 5), -1, np.float32)))
    assert found.values.shape == (3, 4, 5)
    assert found.notes == ("nothing is bright, so nothing was cut",)
