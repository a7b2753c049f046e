"""DICOM series with all that is allowed in them, and more."""

from __future__ import annotations

import itertools
import shutil
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, scan_header

RNG = np.random.default_rng(1)
VOLUME = RNG.integers(0, 2000, (6, 5, 4)).astype(np.uint16)


def as_read(volume):
    """Return slices of the fixture's series as a scan has them."""
    return (volume.astype(np.float64) - 1024).astype(np.float32).transpose(2, 1, 0)[::-1, ::-1]


def notes_of(path, **choice):
    return " ".join(read_scan(path, **choice).notes)


def test_slices_are_in_order_of_position_and_rescaled(dicom_series):
    folder = dicom_series(VOLUME)
    scan = read_scan(folder)
    assert np.array_equal(scan.values, as_read(VOLUME))
    np.testing.assert_allclose(scan.spacing, (0.5, 0.8, 2.5))
    assert scan.notes == ()
    header = scan_header(folder)
    assert (header.modality, header.patient, header.dtype) == ("CT", "P1", "uint16")
    assert header.scanner == "Acme Scanner 1"
    assert header.shape == scan.values.shape


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=2)))
@pytest.mark.parametrize("axes", list(itertools.permutations(range(3), 2)))
def test_every_orientation_puts_voxels_where_the_patient_has_them(dicom_series, signs, axes):
    row, column = np.zeros(3), np.zeros(3)
    row[axes[0]], column[axes[1]] = signs
    normal = np.cross(row, column)

    def turn(index, ds):
        ds.ImageOrientationPatient = [*row, *column]
        ds.ImagePositionPatient = list(np.array([1.0, 2.0, 3.0]) + 2.5 * index * normal)
        return ds

    scan = read_scan(dicom_series(VOLUME, turn))
    assert np.all(np.diag(scan.affine)[:3] > 0)
    back = np.linalg.inv(scan.affine)
    for k, j, i in np.ndindex(VOLUME.shape):
        lps = np.array([1.0, 2.0, 3.0]) + row * i * 0.5 + column * j * 0.8 + normal * k * 2.5
        index = np.round(back @ [-lps[0], -lps[1], lps[2], 1])[:3].astype(int)
        assert scan.values[tuple(index)] == np.float32(VOLUME[k, j, i]) - 1024


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_uncompressed_codings_agree(dicom_series, syntax, signed):
    volume = VOLUME.astype(np.int16) - 500 if signed else VOLUME

    def code(index, ds):
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = volume[index].byteswap().tobytes()
            ds["PixelData"].VR = "OW"
        return ds

    assert np.array_equal(read_scan(dicom_series(volume, code)).values, as_read(volume))


def coded(syntax, encode):
    def code(index, ds):
        array = np.frombuffer(ds.PixelData, f"{'i' if ds.PixelRepresentation else 'u'}2")
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([encode(array.reshape(ds.Rows, ds.Columns))])
        ds["PixelData"].VR = "OB"
        return ds

    return code


def jpeg(array, **options):
    import imagecodecs

    return imagecodecs.jpeg8_encode(np.ascontiguousarray(array).view(np.uint16), **options)


def codings():
    import imagecodecs

    return {
        "JPEG lossless": (JPEGLosslessSV1, lambda a: jpeg(a, lossless=True, predictor=1)),
        "JPEG-LS": (JPEGLSLossless, lambda a: imagecodecs.jpegls_encode(a.view(np.uint16))),
        "JPEG 2000": (
            JPEG2000Lossless,
            lambda a: imagecodecs.jpeg2k_encode(a, reversible=True, codecformat="j2k"),
        ),
        "JPEG 2000 without sign": (
            JPEG2000Lossless,
            lambda a: imagecodecs.jpeg2k_encode(
                a.view(np.uint16), reversible=True, codecformat="j2k"
            ),
        ),
    }


@pytest.mark.parametrize("name", codings())
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_codings_agree(dicom_series, name, signed):
    volume = RNG.integers(0, 4000, (3, 16, 24)).astype(np.uint16)
    volume = (volume.astype(np.int16) - 2000) if signed else volume
    scan = read_scan(dicom_series(volume, coded(*codings()[name])))
    assert np.array_equal(scan.values, as_read(volume))


def test_rle_and_deflate_agree(dicom_series):
    def rle(index, ds):
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return ds

    def deflated(index, ds):
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        return ds

    for name, change in (("rle", rle), ("deflated", deflated)):
        scan = read_scan(dicom_series(VOLUME, change, folder=name))
        assert np.array_equal(scan.values, as_read(VOLUME))


def rle_frame(planes, behind=b""):
    """Code byte planes, the high one first, as literal runs (PS3.5, G)."""
    segments = []
    for plane in planes:
        runs = (plane[i : i + 128] for i in range(0, len(plane), 128))
        code = b"".join(bytes([len(run) - 1]) + run for run in runs) + behind
        segments.append(code + b"\0" * (len(code) % 2))
    places = np.cumsum([64, *map(len, segments)])[:-1]
    head = np.zeros(16, "<u4")
    head[: len(segments) + 1] = [len(segments), *places]
    return head.tobytes() + b"".join(segments)


def rle_of(array, behind=b""):
    size = array.dtype.itemsize
    content = np.ascontiguousarray(array).view(np.uint8).reshape(-1, size)
    return rle_frame([content[:, size - 1 - n].tobytes() for n in range(size)], behind)


@pytest.mark.parametrize("behind", [b"", b"\0\7", b"\x80"], ids=["exact", "longer", "no run"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_run_length_code_is_read_whatever_stands_behind_a_segment(dicom_series, dtype, behind):
    volume = RNG.integers(0, 200, (3, 16, 24)).astype(dtype)
    volume = volume - dtype(100) if dtype == np.int16 else volume

    def code(index, ds):
        ds.file_meta.TransferSyntaxUID = RLELossless
        ds.PixelData = encapsulate([rle_of(volume[index], behind)])
        ds["PixelData"].VR = "OB"
        ds.BitsAllocated = ds.BitsStored = 8 * volume.dtype.itemsize
        ds.HighBit = ds.BitsStored - 1
        return ds

    assert np.array_equal(read_scan(dicom_series(volume, code)).values, as_read(volume))


@pytest.mark.parametrize(
    "frame",
    [
        rle_frame([b"\1" * 20]),
        rle_frame([b"\1" * 10] * 2),
        rle_of(VOLUME[0])[:70],
        rle_of(VOLUME[0])[:40],
        b"\0\0",
        b"\xff" * 80,
    ],
    ids=["one plane", "half", "cut", "no header", "nothing", "offsets beyond"],
)
def test_run_length_code_that_is_not_whole_is_refused(dicom_series, frame):
    def code(index, ds):
        ds.file_meta.TransferSyntaxUID = RLELossless
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR = "OB"
        return ds

    with pytest.raises(DataError):
        read_scan(dicom_series(VOLUME, code))


def test_compression_with_loss_is_said(dicom_series):
    volume = np.tile(np.arange(1000, 1016, dtype=np.uint16), (3, 16, 1))
    change = coded(JPEGExtended12Bit, lambda a: jpeg(a, bitspersample=12, level=100))

    def lossy(index, ds):
        ds.LossyImageCompression, ds.BitsStored, ds.HighBit = "01", 12, 11
        return change(index, ds)

    scan = read_scan(dicom_series(volume, lossy))
    assert np.abs(scan.values - as_read(volume)).max() < 10
    assert "was compressed with loss" in scan.notes


def test_a_code_stream_of_another_size_is_not_decoded(dicom_series):
    for name, (syntax, encode) in codings().items():
        change = coded(syntax, lambda a, encode=encode: encode(np.zeros((64, 64), np.uint16)))
        with pytest.raises(DataError, match="coded as 64 × 64"):
            read_scan(dicom_series(VOLUME, change, folder=name))


def test_only_stored_bits_count(dicom_series):
    def dirty(index, ds):
        stored = VOLUME[index] | np.uint16(0xA000)
        ds.BitsStored, ds.HighBit = 12, 11
        ds.PixelData = stored.tobytes()
        return ds

    assert np.array_equal(read_scan(dicom_series(VOLUME, dirty)).values, as_read(VOLUME))


def test_a_sign_may_stand_in_the_twelfth_bit_and_bits_may_begin_higher(dicom_series):
    volume = VOLUME.astype(np.int16) - 1000

    def twelve(index, ds):
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 1
        ds.PixelData = (volume[index] & 0x0FFF).astype(np.uint16).tobytes()
        return ds

    def high(index, ds):
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 15, 1
        ds.PixelData = (volume[index] << 4).astype(np.int16).tobytes()
        return ds

    for change in (twelve, high):
        scan = read_scan(dicom_series(volume, change, folder=change.__name__))
        assert np.array_equal(scan.values, as_read(volume))


def test_each_slice_has_a_rescale_of_its_own(dicom_series):
    def rescale(index, ds):
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 + index, 10 * index
        return ds

    scan = read_scan(dicom_series(VOLUME, rescale))
    for k in range(len(VOLUME)):
        expected = (VOLUME[k] * (0.5 + k) + 10 * k).astype(np.float32)
        assert np.array_equal(scan.values[::-1, ::-1, k].T, expected)


def test_a_modality_table_is_applied(dicom_series):
    volume = (VOLUME % 4).astype(np.uint16)

    def table(index, ds):
        lut = Dataset()
        lut.LUTDescriptor, lut.ModalityLUTType = [4, 0, 16], "HU"
        lut.LUTData = np.array([5, 60, 700, 8000], np.uint16).tobytes()
        ds.ModalityLUTSequence = [lut]
        del ds.RescaleSlope, ds.RescaleIntercept
        return ds

    expected = np.array([5, 60, 700, 8000])[volume].transpose(2, 1, 0)[::-1, ::-1]
    assert np.array_equal(read_scan(dicom_series(volume, table)).values, expected)


def test_a_missing_slice_is_named(dicom_series):
    folder = dicom_series(VOLUME, lambda index, ds: None if index == 3 else ds)
    with pytest.raises(DataError, match=r"5 mm between .*_2\.dcm and .*_4\.dcm, 2.5 mm elsewhere"):
        read_scan(folder)
    with pytest.raises(DataError, match="probably 1 slices are missing"):
        scan_header(folder)


def test_rounded_positions_are_no_gap(dicom_series):
    def jitter(index, ds):
        ds.ImagePositionPatient = [-10, -20, round(-30 + 2.5 * index + 0.02 * (-1) ** index, 3)]
        return ds

    scan = read_scan(dicom_series(VOLUME, jitter))
    assert scan.spacing[2] == pytest.approx(2.5, abs=0.01)
    assert "not quite evenly spaced" in " ".join(scan.notes)


def test_a_tilted_gantry_is_said_and_its_affine_keeps_the_shear(dicom_series):
    def tilt(index, ds):
        ds.ImagePositionPatient = [-10, -20 + 0.5 * index, -30 + 2.5 * index]
        return ds

    scan = read_scan(dicom_series(VOLUME, tilt))
    assert "sheared by 11.3 degrees" in " ".join(scan.notes)
    assert scan.affine[1, 2] == pytest.approx(-0.5)


def test_a_table_that_moved_is_refused(dicom_series):
    def move(index, ds):
        ds.ImagePositionPatient = [-10 + 9 * (index > 2), -20, -30 + 2.5 * index]
        return ds

    with pytest.raises(DataError, match="do not lie in one line"):
        read_scan(dicom_series(VOLUME, move))


def test_a_copy_of_a_slice_is_used_once_and_said(dicom_series):
    folder = dicom_series(VOLUME)
    one = sorted(folder.iterdir())[2]
    shutil.copy(one, folder / "copy.dcm")
    scan = read_scan(folder)
    assert np.array_equal(scan.values, as_read(VOLUME))
    assert "1 slices are there twice" in " ".join(scan.notes)


def test_copies_that_differ_are_refused(dicom_series):
    folder = dicom_series(VOLUME)
    ds = pydicom.dcmread(sorted(folder.iterdir())[2])
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(folder / "other.dcm")
    with pytest.raises(DataError, match=r"other\.dcm.*the same slice, and have different pixels"):
        read_scan(folder)


def test_places_with_different_numbers_of_slices_are_refused(dicom_series):
    folder = dicom_series(VOLUME)
    ds = pydicom.dcmread(sorted(folder.iterdir())[2])
    ds.SOPInstanceUID = generate_uid()
    ds.save_as(folder / "again.dcm")
    with pytest.raises(DataError, match=r"again\.dcm"):
        read_scan(folder)


def test_echoes_are_volumes_that_are_asked_about(dicom_series):
    uid = generate_uid()
    for echo in (1, 2):
        folder = dicom_series(VOLUME + echo, uid=uid, EchoTime=5.0 * echo)
        for path in list(folder.iterdir()):
            if not path.name.startswith("echo"):
                path.rename(folder / f"echo{echo}_{path.name}")
    with pytest.raises(DataError, match="2 different slices lie at each of 6 places"):
        read_scan(folder)
    for volume in (0, 1):
        values = read_scan(folder, volume=volume).values
        assert np.array_equal(values, as_read(VOLUME + volume + 1))


def test_two_series_in_a_folder_are_asked_about(dicom_series):
    folder = dicom_series(VOLUME[:3], SeriesNumber=8, SeriesDescription="thick")
    other = dicom_series(VOLUME[:2], folder="other", SeriesNumber=9, SeriesDescription="new")
    for path in other.iterdir():
        shutil.copy(path, folder / f"other_{path.name}")
    with pytest.raises(DataError) as caught:
        read_scan(folder)
    assert "number 9 (CT new 2 slices of 5 × 4" in str(caught.value)
    assert read_scan(folder, series=9).values.shape[2] == 2
    assert read_scan(folder, series="9").values.shape[2] == 2
    with pytest.raises(DataError, match="holds no series 77"):
        read_scan(folder, series=77)


def test_two_patients_under_one_uid_are_two_series(dicom_series):
    def patient(index, ds):
        ds.PatientID = f"P{index % 2}"
        return ds

    with pytest.raises(DataError, match="holds 2 series"):
        read_scan(dicom_series(VOLUME, patient))


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("PixelSpacing", [0, 1], "PixelSpacing"),
        ("PixelSpacing", [-1, 1], "PixelSpacing"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "right angles"),
        ("ImageOrientationPatient", [2, 0, 0, 0, 1, 0], "right angles"),
        ("PhotometricInterpretation", "PALETTE COLOR", "colour image"),
        ("PhotometricInterpretation", "RGB", "colour image"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], "mosaic"),
        ("Modality", "SEG", "a segmentation, is no scan"),
        ("Modality", "RTDOSE", "a dose grid, is no scan"),
        ("Rows", 0, "Rows is 0"),
        ("Rows", 600, "truncated"),
        ("NumberOfFrames", 2_000_000, "more voxels than"),
        ("BitsStored", 20, "Bits ?Stored"),
        ("RescaleSlope", "nan", "RescaleSlope|rescale is nan"),
    ],
)
def test_what_no_scan_may_be_is_refused_by_name(dicom_series, attribute, value, words):
    def change(index, ds):
        if attribute == "RescaleSlope":
            ds.add(pydicom.DataElement("RescaleSlope", "LO", value))
            return ds
        setattr(ds, attribute, value)
        return ds

    folder = dicom_series(VOLUME, change)
    with pytest.raises(DataError, match=words) as caught:
        read_scan(folder)
    assert str(folder) in str(caught.value)


def test_slices_without_a_place_have_no_order(dicom_series):
    def nowhere(index, ds):
        del ds.ImagePositionPatient
        return ds

    with pytest.raises(DataError, match="their order cannot be known"):
        read_scan(dicom_series(VOLUME, nowhere))
    with pytest.raises(DataError, match="place of 1 of 6 slices is not stated"):
        read_scan(
            dicom_series(VOLUME, lambda i, ds: nowhere(i, ds) if i == 2 else ds, folder="one")
        )


def test_without_a_spacing_the_geometry_is_unknown_and_the_order_is_not(dicom_series):
    def change(index, ds):
        del ds.PixelSpacing
        return ds

    scan = read_scan(dicom_series(VOLUME, change))
    assert scan.affine is None
    assert scan.spacing is None
    assert np.array_equal(scan.values, VOLUME.astype(np.float32) - 1024)
    assert "PixelSpacing is not stated" in " ".join(scan.notes)


def test_a_projection_is_said(dicom_series):
    def change(index, ds):
        del ds.PixelSpacing
        ds.ImagerPixelSpacing = [0.1, 0.1]
        return ds

    assert "a projection" in notes_of(dicom_series(VOLUME[:1], change))


def test_a_single_slice_says_that_its_depth_was_not_measured(dicom_series):
    folder = dicom_series(VOLUME)
    path = next(iter(sorted(folder.iterdir())))
    scan = read_scan(path)
    assert scan.values.shape == (4, 5, 1)
    assert scan.spacing[2] == pytest.approx(2.5)
    assert "its depth of 2.5 mm is its thickness" in " ".join(scan.notes)


def test_low_may_be_white(dicom_series):
    scan = read_scan(dicom_series(VOLUME, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(scan.values, as_read(VOLUME))
    assert "MONOCHROME1" in " ".join(scan.notes)


def test_localizers_are_named(dicom_series):
    scan = read_scan(dicom_series(VOLUME, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    assert "a localizer, made for planning" in scan.notes


def test_files_without_preamble_and_extension_are_slices_too(dicom_series):
    folder = dicom_series(VOLUME)
    for index, path in enumerate(sorted(folder.iterdir())):
        if index % 2:
            path.write_bytes(path.read_bytes()[132:])
        path.rename(folder / str(1000 - index))
    scan = read_scan(folder)
    assert np.array_equal(scan.values, as_read(VOLUME))
    assert "without DICOM's preamble" in scan.notes


def test_other_files_are_passed_over_and_named(dicom_series):
    folder = dicom_series(VOLUME)
    (folder / "notes.txt").write_text("seen")
    (folder / "empty.dcm").touch()
    (folder / ".hidden.dcm").write_text("no slice")
    scan = read_scan(folder)
    assert np.array_equal(scan.values, as_read(VOLUME))
    said = " ".join(scan.notes)
    assert "notes.txt is no DICOM file" in said
    assert "empty.dcm is empty" in said


def test_a_damaged_slice_is_named_and_never_dropped(dicom_series):
    folder = dicom_series(VOLUME)
    path = sorted(folder.iterdir())[5]
    content = path.read_bytes()
    for damaged in (b"garbage" * 100, content[:200], content[: len(content) - 10]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=path.name):
            read_scan(folder)


def test_slices_in_sub_folders_are_found_and_links_do_not_lead_in_circles(dicom_series):
    folder = dicom_series(VOLUME)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    for path in list(folder.glob("*.dcm"))[:3]:
        path.rename(inner / path.name)
    (inner / "loop").symlink_to(folder)
    assert np.array_equal(read_scan(folder).values, as_read(VOLUME))


def test_a_deflated_bomb_is_refused(dicom_series, monkeypatch):
    monkeypatch.setattr("medpipe_plugins.scans.dicom_deflated.MOST_INFLATED", 1 << 25)

    def deflated(index, ds):
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        return ds

    path = next(iter(dicom_series(VOLUME[:1], deflated).iterdir()))
    content = path.read_bytes()
    size = int.from_bytes(content[140:144], "little")  # of the file meta information
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(3)) + packer.flush()
    path.write_bytes(content[: 144 + size] + bomb)
    with pytest.raises(DataError, match="inflates to more than 32 MiB"):
        read_scan(path)


def enhanced(volume, positions, **shared):
    """Return an enhanced multi-frame CT."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID, ds.Modality = generate_uid(), "CT"
    ds.NumberOfFrames, ds.Rows, ds.Columns = volume.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = volume.tobytes()
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.5], 2.5
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    group = Dataset()
    group.PixelMeasuresSequence, group.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [group]
    frames = []
    for index, position in enumerate(positions):
        place, value, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20, position]
        value.RescaleSlope, value.RescaleIntercept = 1 + index, -1024
        frame.PlanePositionSequence = [place]
        frame.PixelValueTransformationSequence = [value]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    return ds


def test_frames_of_an_enhanced_file_go_where_their_groups_say(tmp_path):
    order = [3, 0, 5, 1, 4, 2]
    path = tmp_path / "enhanced"
    enhanced(VOLUME[order], [-30 + 2.5 * k for k in order]).save_as(path, enforce_file_format=True)
    scan = read_scan(path)
    np.testing.assert_allclose(scan.spacing, (0.5, 0.8, 2.5))
    for frame, k in enumerate(order):
        expected = VOLUME[k].astype(np.float32) * (1 + frame) - 1024
        assert np.array_equal(scan.values[::-1, ::-1, k].T, expected)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless, ExplicitVRBigEndian])
def test_frames_are_read_from_their_places_as_pydicom_reads_them(tmp_path, monkeypatch, syntax):
    ds = enhanced(VOLUME, [-30 + 2.5 * k for k in range(6)])
    path = tmp_path / "enhanced.dcm"
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = VOLUME.byteswap().tobytes()
        ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)
    scan = read_scan(path)
    assert np.array_equal(scan.values[::-1, ::-1, 2].T, VOLUME[2].astype(np.float32) * 3 - 1024)
    asked = []
    monkeypatch.setattr(
        "medpipe_plugins.scans.dicom_places._place_of_pixels", lambda *told: asked.append(told)
    )
    assert np.array_equal(read_scan(path).values, scan.values)
    assert asked


def test_bytes_of_big_endian_files_keep_their_order(dicom_series):
    volume = RNG.integers(0, 255, (4, 6, 4)).astype(np.uint8)

    def code(index, ds):
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = volume[index].view(">u2").byteswap().tobytes()
        ds["PixelData"].VR = "OW"
        return ds

    assert np.array_equal(read_scan(dicom_series(volume, code)).values, as_read(volume))


@pytest.mark.parametrize("extended", [False, True])
def test_compressed_frames_are_told_apart(tmp_path, extended):
    import imagecodecs
    from pydicom.encaps import encapsulate_extended

    ds = enhanced(VOLUME, [-30 + 2.5 * k for k in range(6)])
    codes = [imagecodecs.jpegls_encode(frame) for frame in VOLUME]
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    if extended:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(
            codes
        )
    else:
        ds.PixelData = encapsulate(codes, fragments_per_frame=2)
    ds["PixelData"].VR = "OB"
    path = tmp_path / "frames.dcm"
    ds.save_as(path, enforce_file_format=True)
    scan = read_scan(path)
    for k, frame in enumerate(VOLUME):
        expected = frame.astype(np.float32) * (1 + k) - 1024
        assert np.array_equal(scan.values[::-1, ::-1, k].T, expected)


def test_frames_of_two_times_are_two_volumes(tmp_path):
    path = tmp_path / "enhanced.dcm"
    enhanced(VOLUME, [-30, -27.5, -25] * 2).save_as(path, enforce_file_format=True)
    with pytest.raises(DataError, match="2 different slices lie at each of 3 places"):
        read_scan(path)
    assert read_scan(path, volume=1).values.shape == (4, 5, 3)


def test_frames_without_groups_have_no_geometry(tmp_path):
    ds = enhanced(VOLUME, [0])
    del ds.PerFrameFunctionalGroupsSequence
    ds.ImagePositionPatient = [0, 0, 0]
    path = tmp_path / "frames.dcm"
    ds.save_as(path, enforce_file_format=True)
    scan = read_scan(path)
    assert scan.affine is None
    assert scan.values.shape == VOLUME.shape
    assert "geometry unknown" in " ".join(scan.notes)


def only(numbers, **attributes):
    """Return a change of some data sets; None takes an attribute out."""

    def change(index, ds):
        for name, value in attributes.items() if index in numbers else ():
            if value is None:
                delattr(ds, name)
            else:
                setattr(ds, name, value)
        return ds

    return change


def test_a_slope_of_zero_is_refused_by_name(dicom_series):
    for numbers in ({2}, range(6)):
        with pytest.raises(DataError, match=r"_[02]\.dcm: RescaleSlope is 0"):
            scan_header(dicom_series(VOLUME, only(numbers, RescaleSlope=0)))


def test_slices_on_two_scales_are_refused_by_name(dicom_series):
    change = only({2}, RescaleSlope=None, RescaleIntercept=None)
    with pytest.raises(DataError, match=r"1 of 6 slices state no RescaleSlope .*_2\.dcm"):
        scan_header(dicom_series(VOLUME, change))
    plain = {"RescaleSlope": 1, "RescaleIntercept": 0}
    scan = read_scan(dicom_series(VOLUME, change, folder="plain", **plain))
    assert np.array_equal(scan.values, as_read(VOLUME) + 1024)


def test_a_rescale_that_is_half_or_not_stated_is_said(dicom_series):
    def notes(folder, **attributes):
        return notes_of(dicom_series(VOLUME, only(range(6), **attributes), folder))

    assert "RescaleIntercept is not stated; 0 was taken" in notes("a", RescaleIntercept=None)
    assert "RescaleSlope is not stated; 1 was taken" in notes("b", RescaleSlope=None)
    neither = {"RescaleSlope": None, "RescaleIntercept": None}
    assert "need not be Hounsfield units" in notes("c", **neither)
    assert "Hounsfield" not in notes("d", Modality="MR", **neither)


def test_times_are_not_mixed_by_the_time_of_their_writing(dicom_series):
    written = [0, 9, 2, 9, 5, 1]

    def twice(index, ds):
        ds.ImagePositionPatient = [-10, -20, 2.5 * (index % 3)]
        ds.InstanceNumber, ds.ContentTime = index + 1, f"12000{written[index]}"
        return ds

    folder = dicom_series(VOLUME, twice)
    for volume in (0, 1):
        found = read_scan(folder, volume=volume).values
        assert np.array_equal(found, as_read(VOLUME[3 * volume : 3 * volume + 3]))


def test_places_that_differ_by_less_than_pixels_can_are_one(dicom_series):
    def twice(index, ds):
        ds.ImagePositionPatient = [-10, -20, 2.5 * (index % 3) + 0.005 * (index // 3)]
        return ds

    with pytest.raises(DataError, match="2 different slices lie at each of 3 places"):
        scan_header(dicom_series(VOLUME, twice))


def test_a_stated_spacing_that_positions_do_not_have_is_said(dicom_series):
    assert "SpacingBetweenSlices says 1.25 mm" in notes_of(
        dicom_series(VOLUME, SpacingBetweenSlices=1.25)
    )
    assert notes_of(dicom_series(VOLUME, folder="same", SpacingBetweenSlices=2.5)) == ""


def test_bits_that_are_no_whole_bytes_are_refused_in_words(dicom_series):
    with pytest.raises(DataError, match="BitsAllocated is 1; a scan has 8, 16, 32 or 64"):
        scan_header(dicom_series(VOLUME, BitsAllocated=1))


def test_files_that_a_table_of_contents_names_in_vain_are_said(dicom_series):
    written = sorted(dicom_series(VOLUME, folder="medium/images").iterdir())
    folder = written[0].parents[1]
    files = [file.rename(file.with_name(f"im{file.stem[-1]}")) for file in written]
    files.sort()
    contents = pydicom.Dataset()
    contents.file_meta = pydicom.dataset.FileMetaDataset()
    contents.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    contents.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    contents.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    contents.DirectoryRecordSequence = [Dataset() for _ in (None, *files)]
    for record, file in zip(contents.DirectoryRecordSequence[1:], files, strict=True):
        record.ReferencedFileID = ["IMAGES", file.name.upper()]
    contents.save_as(folder / "DICOMDIR", enforce_file_format=True)
    assert notes_of(folder) == ""
    files[-1].unlink()
    for path in (folder, folder / "DICOMDIR"):
        told = notes_of(path)
        assert "1 of 6 files that its DICOMDIR names are not there, such as IMAGES/IM5" in told
    records = b"\4\0\x20\x12SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\x10\0\0\0" + b"cut"
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + records)
    assert "its DICOMDIR is damaged" in notes_of(folder)
    for file in files[:-1]:
        file.unlink()
    with pytest.raises(DataError, match="nothing lies beside its table of contents"):
        scan_header(folder / "DICOMDIR")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PixelSpacing": 1.5}, r"PixelSpacing is 1\.5; it has to be 2 numbers"),
        ({"RescaleSlope": ["1", "2"]}, r"rescale is \[1, 2\], which is not one number"),
    ],
)
def test_too_few_or_many_numbers_are_told_in_words(dicom_series, attributes, words):
    with pytest.raises(DataError, match=words):
        scan_header(dicom_series(VOLUME, **attributes))
