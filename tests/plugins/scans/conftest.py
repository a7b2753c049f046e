"""Where real scans lie, and small scans that tests make for themselves."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

DATA = pathlib.Path(
    os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
)


@pytest.fixture
def data():
    """Return a path in the folder of real data, or skip where it is not there."""

    def find(name):
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not there; name its folder in MEDPIPE_DATA")
        return DATA / name

    return find


@pytest.fixture
def ramp():
    """Return a volume in which every voxel differs, int16, column × row × slice."""
    return np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3) - 20


@pytest.fixture
def dicom_series(tmp_path):
    """Return a function that writes a CT series, and returns its folder and data sets.

    `change(index, ds)` may change each data set before it is written, or return None to leave it
    out.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    def write(volume=None, change=lambda index, ds: ds, folder="series", uid=None, **attributes):
        rng = np.random.default_rng(0)
        if volume is None:
            volume = rng.integers(0, 2000, (6, 5, 4)).astype(np.uint16)
        target = tmp_path / folder
        target.mkdir(exist_ok=True, parents=True)
        uid = uid or generate_uid()
        for index, pixels in enumerate(volume):
            ds = pydicom.Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
            ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.SeriesInstanceUID, ds.Modality, ds.PatientID = uid, "CT", "P1"
            ds.SeriesNumber, ds.InstanceNumber = 3, len(volume) - index
            ds.Manufacturer, ds.ManufacturerModelName = "Acme", "Scanner 1"
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.Rows, ds.Columns = pixels.shape
            ds.PixelSpacing, ds.SliceThickness = [0.8, 0.5], 2.5
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            ds.ImagePositionPatient = [-10.0, -20.0, -30.0 + 2.5 * index]
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            size = pixels.dtype.itemsize * 8
            ds.BitsAllocated = ds.BitsStored = size
            ds.HighBit, ds.PixelRepresentation = size - 1, int(pixels.dtype.kind == "i")
            ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
            ds.PixelData = np.ascontiguousarray(pixels).tobytes()
            for name, value in attributes.items():
                setattr(ds, name, value)
            ds = change(index, ds)
            if ds is not None:
                ds.save_as(
                    target / f"{(7 * index) % len(volume)}_{index}.dcm", enforce_file_format=True
                )
        return target

    return write


@pytest.fixture
def nifti(tmp_path):
    """Return a function that writes a NIfTI file, its header changed by keyword."""
    import nibabel

    def write(array, affine=None, name="scan.nii", kind=nibabel.Nifti1Image, change=None, **fields):
        affine = np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine
        image = kind(array, affine)
        image.header.set_xyzt_units("mm")
        if change is not None:
            change(image.header)
        path = tmp_path / name
        nibabel.save(image, path)
        if fields:
            raw = bytearray(path.read_bytes())
            size = image.header.template_dtype.itemsize
            header = np.frombuffer(raw, image.header.template_dtype, 1).copy()
            for field, value in fields.items():
                header[field] = value
            raw[:size] = header.tobytes()
            path.write_bytes(raw)
        return path

    return write
