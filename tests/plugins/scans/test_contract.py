"""The bundled readers hold to what every reader promises."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image

from medpipe_core.testing import PluginContract, ReaderContract

VOLUME = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


class TestPlugin(PluginContract):
    plugin = "medpipe_plugins.register.scans"


class TestNifti(ReaderContract):
    reader = "medpipe_plugins.scans.readers:NiftiReader"

    def example(self, folder):
        nibabel.save(nibabel.Nifti1Image(VOLUME.astype(np.int16), np.eye(4)), folder / "scan.nii")
        return folder / "scan.nii"


class TestPackedNifti(TestNifti):
    def example(self, folder):
        image = nibabel.Nifti1Image(VOLUME.astype(np.int16), np.eye(4))
        nibabel.save(image, folder / "scan.nii.gz")
        return folder / "scan.nii.gz"


class TestDicom(ReaderContract):
    reader = "medpipe_plugins.scans.readers:DicomReader"

    @pytest.fixture(autouse=True)
    def writer(self, dicom_series):
        self.dicom_series = dicom_series

    def example(self, folder):
        return self.dicom_series(VOLUME, folder=folder / "series")


class TestSlices(ReaderContract):
    reader = "medpipe_plugins.scans.readers:SlicesReader"

    def example(self, folder):
        slices = folder / "slices"
        slices.mkdir()
        for number, pixels in enumerate(VOLUME):
            Image.fromarray(pixels).save(slices / f"{number}.png")
        return slices


class TestNpy(ReaderContract):
    reader = "medpipe_plugins.scans.readers:ArrayReader"

    def example(self, folder):
        np.save(folder / "scan.npy", VOLUME)
        return folder / "scan.npy"


class TestNpz(TestNpy):
    def example(self, folder):
        np.savez_compressed(folder / "scan.npz", image=VOLUME)
        return folder / "scan.npz"
