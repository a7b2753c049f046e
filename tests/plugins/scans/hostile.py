"""Damage valid files in every way that hypothesis finds, and read them under a memory limit.

Run as `python hostile.py FORMAT COUNT SEED FOLDER`; ends with 0 if every file was a scan or was
refused by name, and nothing was left behind. `python hostile.py` lists the formats.
"""

from __future__ import annotations

import faulthandler
import gzip
import io
import os
import pathlib
import resource
import sys
import zipfile
import zlib

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from medpipe_core.data import DataError
from medpipe_plugins.scans import Scan, read_scan, scan_header

MEMORY = 2 << 30
SECONDS = 30  # for one file

VOLUME = np.random.default_rng(0).integers(0, 3000, (4, 12, 10)).astype(np.uint16)


def nifti(kind="Nifti1Image", suffix=""):
    import nibabel

    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    image = getattr(nibabel, kind)(VOLUME.astype(np.int16), affine)
    image.header.set_slope_inter(2, -100)
    return f"scan.nii{suffix}", image.to_bytes()


def dicom(syntax=None, encode=None, frames=False, index=0):
    import pydicom
    from pydicom.encaps import encapsulate

    def item(**attributes):
        found = pydicom.Dataset()
        for name, value in attributes.items():
            setattr(found, name, value)
        return found

    ds = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        SOPInstanceUID=f"1.2.3.{index}",
        SeriesInstanceUID="1.2.4",
        Modality="CT",
        PatientID="P1",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        Rows=12,
        Columns=10,
        PixelSpacing=[1, 2],
        SliceThickness=3,
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImagePositionPatient=[0, 0, 3 * index],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        RescaleSlope=1,
        RescaleIntercept=-1024,
    )
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax or "1.2.840.10008.1.2.1"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    pixels = VOLUME if frames else VOLUME[:1]
    if frames:
        ds.NumberOfFrames = len(VOLUME)
        group = item(PixelMeasuresSequence=[item(PixelSpacing=[1, 2], SliceThickness=3)])
        ds.SharedFunctionalGroupsSequence = [group]
        ds.PerFrameFunctionalGroupsSequence = [
            item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3 * k])])
            for k in range(len(VOLUME))
        ]
    ds.PixelData = pixels.tobytes()
    if syntax == "1.2.840.10008.1.2.2":
        ds.PixelData = pixels.byteswap().tobytes()
        ds["PixelData"].VR = "OW"
    if encode is not None:
        ds.PixelData = encapsulate([encode(frame) for frame in pixels])
        ds["PixelData"].VR = "OB"
    stream = io.BytesIO()
    if syntax == "rle":
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        ds.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom", generate_instance_uid=False)
    ds.save_as(stream, enforce_file_format=True)
    return "scan.dcm", stream.getvalue()


def jpeg(name, **options):
    import imagecodecs

    return lambda frame: getattr(imagecodecs, name)(frame, **options)


def png(mode="I;16", **options):
    from PIL import Image

    pixels = VOLUME[0] if mode == "I;16" else (VOLUME[0] // 16).astype(np.uint8)
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(stream, "PNG", **options)
    return "scan.png", stream.getvalue()


def tiff(**options):
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, VOLUME, photometric="minisblack", **options)
    return "scan.tif", stream.getvalue()


def npy(fortran=False):
    stream = io.BytesIO()
    np.save(stream, np.asfortranarray(VOLUME) if fortran else VOLUME)
    return "scan.npy", stream.getvalue()


def npz(compressed=True):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, image=VOLUME, label=np.int64(1))
    return "scan.npz", stream.getvalue()


FORMATS = {
    "nifti-1": nifti,
    "nifti-2": lambda: nifti("Nifti2Image"),
    "nifti-gz": lambda: nifti(suffix=".gz"),
    "nifti-gz-inside": lambda: nifti(suffix=".gz"),
    "dicom": dicom,
    "dicom-implicit": lambda: dicom("1.2.840.10008.1.2"),
    "dicom-deflated": lambda: dicom("1.2.840.10008.1.2.1.99"),
    "dicom-big-endian": lambda: dicom("1.2.840.10008.1.2.2"),
    "dicom-frames": lambda: dicom(frames=True),
    "dicom-rle": lambda: dicom("rle", frames=True),
    "dicom-jpeg": lambda: dicom("1.2.840.10008.1.2.4.51", jpeg("jpeg8_encode", bitspersample=12)),
    "dicom-jpeg-lossless": lambda: dicom(
        "1.2.840.10008.1.2.4.70", jpeg("jpeg8_encode", lossless=True, predictor=1)
    ),
    "dicom-jpeg-ls": lambda: dicom("1.2.840.10008.1.2.4.80", jpeg("jpegls_encode")),
    "dicom-jpeg-2000": lambda: dicom(
        "1.2.840.10008.1.2.4.90", jpeg("jpeg2k_encode", reversible=True, codecformat="j2k")
    ),
    "dicom-bare": lambda: ("scan.dcm", dicom()[1][132:]),
    "png": png,
    "png-palette": lambda: png("P"),
    "png-transparent": lambda: png("LA"),
    "tiff": tiff,
    "tiff-lzw": lambda: tiff(compression="lzw", predictor=True),
    "tiff-tiles": lambda: tiff(compression="zlib", tile=(16, 16)),
    "tiff-imagej": lambda: tiff(imagej=True, metadata={"axes": "ZYX"}),
    "tiff-big": lambda: tiff(bigtiff=True, byteorder=">"),
    "npy": npy,
    "npy-fortran": lambda: npy(fortran=True),
    "npz": npz,
    "npz-stored": lambda: npz(compressed=False),
}

BESIDE = {  # files that stay whole, in a folder with the one that is damaged
    "dicom-series": lambda: {f"{k}.dcm": dicom(index=k)[1] for k in (1, 2, 3)},
    "png-folder": lambda: {f"scan{k}.png": png()[1] for k in (1, 2, 3)},
}
FORMATS["dicom-series"] = dicom
FORMATS["png-folder"] = lambda: ("scan0.png", png()[1])

VALUES = [b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80"]
VALUES += [
    b"\xff" * 4,
    b"\xff" * 8,
    b"\0" * 8,
    b"\1\0",
    b"\0\1",
    b"9" * 12,
    b"nan ",
    b"-1",
    b"1e99",
]
VALUES += [np.float32(x).tobytes() for x in (np.nan, np.inf, -1, 0, 1e30)]
PLACE = st.one_of(st.integers(0, 700), st.floats(0, 1))
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), PLACE, st.integers(0, 7)),
        st.tuples(st.just("set"), PLACE, st.sampled_from(VALUES)),
        st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("drop"), PLACE, st.integers(1, 40)),
        st.tuples(st.just("cut"), PLACE, st.just(0)),
        st.tuples(st.just("double"), PLACE, st.integers(1, 200)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content, edits):
    """Return a file after some edits."""
    found = bytearray(content)
    for kind, place, what in edits:
        at = min(place if isinstance(place, int) else int(place * len(found)), len(found))
        if kind == "flip" and at < len(found):
            found[at] ^= 1 << what
        elif kind == "set":
            found[at : at + len(what)] = what
        elif kind == "insert":
            found[at:at] = what
        elif kind == "drop":
            del found[at : at + what]
        elif kind == "cut":
            del found[at:]
        elif kind == "double":
            found[at:at] = found[at : at + what]
    return bytes(found)


def with_checksums(name, content):
    """Make the checksums of a damaged PNG or zip fit again, so that what is behind them is met."""
    if name.endswith(".png"):
        found, at = bytearray(content), 8
        while at + 12 <= len(found):
            size = int.from_bytes(found[at : at + 4], "big")
            end = at + 8 + size
            if end + 4 > len(found):
                break
            found[end : end + 4] = zlib.crc32(found[at + 4 : end]).to_bytes(4, "big")
            at = end + 4
        return bytes(found)
    return content


def rezipped(content, edits):
    """Damage the first member of an npz, and zip it again."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.namelist():
            new.writestr(member, damaged(old.read(member), edits))
    return stream.getvalue()


def try_one(path, counts):
    for read in (scan_header, read_scan):
        try:
            found = read(path)
        except DataError as error:
            assert str(path) in str(error), error  # noqa: PT017 - it may be read, too
            counts["refused"] += 1
            continue
        counts["read"] += 1
        if isinstance(found, Scan):
            assert found.values.dtype == np.float32
            assert found.values.ndim == 3
            assert found.values.shape == found.header.shape
            assert found.affine is None or np.isfinite(found.affine).all()


def main(form, count, number, folder):
    name, content = FORMATS[form]()
    beside = BESIDE.get(form, dict)()
    file = pathlib.Path(folder, name)
    file.write_bytes(gzip.compress(content) if form.startswith("nifti-gz") else content)
    for other, whole in beside.items():
        file.with_name(other).write_bytes(whole)
    path = pathlib.Path(folder) if beside else file
    assert read_scan(path).values.size in (120, 480), "the file is valid before it is damaged"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    counts = {"read": 0, "refused": 0}

    @seed(int(number))
    @settings(
        max_examples=int(count),
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(EDITS, st.booleans())
    def every_damaged_file_is_read_or_refused(edits, inside):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        if form == "nifti-gz":
            found = damaged(gzip.compress(content), edits)
        elif form == "nifti-gz-inside":
            found = gzip.compress(damaged(content, edits))
        elif form.startswith("npz") and inside:
            found = rezipped(content, edits)
        else:
            found = damaged(content, edits)
            found = with_checksums(name, found) if inside else found
        file.write_bytes(found)
        try_one(path, counts)
        assert {other.name for other in file.parent.iterdir()} == {name, *beside}, "files are left"
        faulthandler.cancel_dump_traceback_later()

    every_damaged_file_is_read_or_refused()
    print(form, *(f"{word} {count}" for word, count in counts.items()))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(*FORMATS)
    else:
        faulthandler.enable()
        main(*sys.argv[1:])
