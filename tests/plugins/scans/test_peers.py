"""What is read equals what nibabel, pydicom and SimpleITK read."""

from __future__ import annotations

import nibabel
import numpy as np
import pydicom
import pytest

from medpipe_plugins.scans import read_scan, scan_header


def from_itk(itk, image):
    """Return values and affine of a SimpleITK image in its own axes, as RAS."""
    values = itk.GetArrayFromImage(image).T.astype(np.float64)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    return values, affine


def canonical(values, affine):
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, affine, dtype=values.dtype))
    return image.get_fdata(), image.affine


def same(scan, values, affine):
    values, affine = canonical(values, affine)
    assert np.array_equal(scan.values, values.astype(np.float32), equal_nan=True)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-4)


@pytest.fixture
def itk():
    return pytest.importorskip("SimpleITK")


def test_the_ct_series_equals_simpleitk(data, itk):
    folder = data("ct_dicom")
    names = itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    scan = read_scan(folder)
    same(scan, *from_itk(itk, itk.ReadImage(list(names))))
    assert scan.notes == ()
    assert scan.header.modality == "CT"


def test_the_ct_series_equals_pydicom_slice_by_slice(data):
    folder = data("ct_dicom")
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices.sort(key=lambda ds: ds.ImagePositionPatient[2])
    scan = read_scan(folder)
    assert scan.values.shape == (512, 512, len(slices))
    for index, ds in enumerate(slices):
        hounsfield = imagecodecs_of(ds) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        # Rows of an axial slice run to the back, columns to the left.
        assert np.array_equal(scan.values[::-1, ::-1, index].T, hounsfield.astype(np.float32))
    np.testing.assert_allclose(scan.spacing[:2], slices[0].PixelSpacing, atol=1e-6)


def imagecodecs_of(ds):
    import imagecodecs
    from pydicom.encaps import get_frame

    return imagecodecs.jpeg2k_decode(get_frame(ds.PixelData, 0, number_of_frames=1))


@pytest.mark.parametrize("name", ["ct_small.nii.gz", "mr_small.nii.gz"])
def test_a_nifti_file_equals_nibabel_and_simpleitk(data, itk, name):
    path = data(name)
    scan = read_scan(path)
    image = nibabel.load(path)
    same(scan, image.get_fdata(), image.affine)
    same(scan, *from_itk(itk, itk.ReadImage(str(path))))
    assert scan.notes == ()


def test_all_vessels_equal_nibabel(data):
    paths = sorted(data("vessel_nifti").rglob("*.nii*"))
    assert paths
    for path in paths:
        image = nibabel.load(path)
        same(read_scan(path), image.get_fdata(), image.affine)


@pytest.mark.parametrize("name", ["ct_dicom", "ct_small.nii.gz", "mr_small.nii.gz"])
def test_a_header_says_what_the_scan_will_be(data, name):
    scan, header = read_scan(data(name)), scan_header(data(name))
    assert header.shape == scan.values.shape
    assert header.spacing == scan.spacing
    assert np.array_equal(header.affine, scan.affine)
