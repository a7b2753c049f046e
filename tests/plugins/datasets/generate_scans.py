"""Make a set of CT-like scans, NIfTI and DICOM, of one anatomy in spacings that vary.

Run as `python generate_scans.py FOLDER --count 300 --seed 0`: writes `scans.csv` and the scans, the
first half NIfTI in several orientations, the others DICOM series. `--format dicom` or `nifti`
makes all of them one.

A chest is an ellipsoid of soft tissue with two lungs; in those of the class `nodule` a ball of
9 to 12 mm lies in one of them.
"""

from __future__ import annotations

import argparse
import csv
import pathlib

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

CLASSES = ("clear", "nodule")
# Millimetres from the centre outwards, right to left, front to back, up.
CHEST, LUNG = (75, 55, 65), (24, 36, 48)
AIR, TISSUE, LUNGS, NODULE = -1000, 40, -820, 60
ORIENTATIONS = ("RAS", "LPS", "LAS", "ASL")
ROOT = "1.2.826.0.1.3680043.8.498.77"


def generate(folder, count, *, seed=0, formats=None):
    """Write scans and their table; return its path."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        kind = formats or ("nifti" if number < count // 2 else "dicom")
        rng = np.random.default_rng((seed, number))
        label = CLASSES[number % 2]
        values, spacing = chest(rng, label)
        path = f"{number:04}.nii.gz" if kind == "nifti" else f"{number:04}"
        if kind == "nifti":
            write_nifti(folder / path, values, spacing, ORIENTATIONS[number % len(ORIENTATIONS)])
        else:
            write_dicom(folder / path, values, spacing, f"{ROOT}.{seed}.{number}", f"P{number:04}")
        rows.append({"path": path, "label": label, "patient": f"P{number:04}"})
    with (folder / "scans.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "scans.csv"


def chest(rng, label):
    """Return Hounsfield units, int16 (right, front, up), and the spacing in millimetres."""
    in_plane, between = rng.uniform(3, 5), rng.uniform(4, 8)
    spacing = (in_plane, in_plane, between)
    shape = [round(2.3 * half / step) for half, step in zip(CHEST, spacing, strict=True)]
    places = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)),
        indexing="ij",
    )

    def ball(centre, radii):
        parts = zip(places, centre, radii, strict=True)
        return sum(((x - c) / r) ** 2 for x, c, r in parts) <= 1

    size = rng.uniform(0.92, 1.08)
    values = np.where(ball((0, 0, 0), np.multiply(CHEST, size)), TISSUE, AIR).astype(float)
    for side in (-1, 1):
        values[ball((side * 34 * size, 0, 0), np.multiply(LUNG, size))] = LUNGS
    if label == "nodule":
        centre = (rng.choice((-34, 34)) * size, *rng.uniform(-14, 14, 2))
        values[ball(centre, (rng.uniform(9, 12),) * 3)] = NODULE
    return np.rint(values + rng.normal(0, 15, shape)).astype(np.int16), spacing


def write_nifti(path, values, spacing, orientation="RAS"):
    """Write a scan, its axes stored in some orientation."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(values.shape) - 1) / 2)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(affine),
        nibabel.orientations.axcodes2ornt(orientation),
    )
    nibabel.save(image.as_reoriented(turn), path)


def write_dicom(folder, values, spacing, uid, patient, **attributes):
    """Write a series of axial slices, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    # DICOM's rows run to the patient's left and its columns to the back.
    slices = values[::-1, ::-1].transpose(2, 1, 0)
    depth, height, width = slices.shape
    x, y, z = ((n - 1) / 2 * s for n, s in zip((width, height, depth), spacing, strict=True))
    for index, pixels in enumerate(slices):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{uid}.{index + 1}"
        ds.SeriesInstanceUID, ds.Modality, ds.PatientID = uid, "CT", patient
        ds.SeriesNumber, ds.InstanceNumber = 1, index + 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.Rows, ds.Columns = height, width
        ds.PixelSpacing = [round(spacing[1], 6), round(spacing[0], 6)]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [round(p, 5) for p in (-x, -y, -z + spacing[2] * index)]
        ds.SliceThickness = round(spacing[2], 6)
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.PixelData = (pixels.astype(np.int16) + np.int16(1024)).tobytes()
        for name, value in attributes.items():
            setattr(ds, name, value)
        ds.save_as(folder / f"slice{(7 * index) % 101:03}-{index:03}", enforce_file_format=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("nifti", "dicom"))
    words = parser.parse_args()
    print(generate(words.folder, words.count, seed=words.seed, formats=words.format))
