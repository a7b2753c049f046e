"""The short way through plain headers tells what pydicom tells, or leaves the file to it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from medpipe_core.data import DataError
from medpipe_plugins.scans import dicom_header, door
from medpipe_plugins.scans.dicom_deflated import undeflated
from medpipe_plugins.scans.dicom_header import _TAGS, read_frames
from medpipe_plugins.scans.dicom_plain import Wanted, plain_header
from medpipe_plugins.scans.sniffing import is_dicom

WANTED = Wanted(_TAGS)

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose


def sliced(**attributes):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    ds.SeriesInstanceUID, ds.Modality, ds.PatientID = "1.2", "CT", "P1"
    ds.ImageType, ds.SeriesNumber = ["ORIGINAL", "PRIMARY"], 4
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 3, 2, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelSpacing, ds.ImageOrientationPatient = [0.5, 0.75], [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient, ds.RescaleSlope, ds.RescaleIntercept = [1, 2, -3.5], 1, -1024
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = np.arange(6, dtype="<u2").tobytes()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def saved(folder, ds, syntax=ExplicitVRLittleEndian, behind=b"", name="slice"):
    path = folder / name
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes() + behind)
    return path


def told(path):
    """Return what is known of a file's frames, or the error."""
    try:
        with door.told(path, "DICOM"):
            found = read_frames(path)
    except DataError as error:
        return str(error)
    if isinstance(found, str):
        return found
    files = {dataclasses.replace(frame.file, pixels=None) for frame in found}
    return files, [dataclasses.replace(frame, file=None) for frame in found]


def same_without(path, monkeypatch):
    """Say whether pydicom alone tells the same."""
    short = told(path)
    with monkeypatch.context() as patch:
        patch.setattr(dicom_header, "plain_header", lambda path, wanted: None)
        return short == told(path)


def nested(undefined):
    inner = Dataset()
    inner.RescaleSlope, inner.PixelSpacing = 9, [9, 9]
    outer = Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    outer.Modality = "MR"
    for ds in (inner, outer):
        ds.is_undefined_length_sequence_item = undefined
    outer["ReferencedImageSequence"].is_undefined_length = undefined
    return Sequence([outer])


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("undefined", [False, True])
def test_what_lies_in_a_sequence_is_passed_over(tmp_path, monkeypatch, syntax, undefined):
    ds = sliced(RequestAttributesSequence=nested(undefined))
    ds["RequestAttributesSequence"].is_undefined_length = undefined
    path = saved(tmp_path, ds, syntax)
    found = plain_header(path, WANTED)
    assert found.get("Modality") == "CT"
    assert found.get("PixelSpacing") == [0.5, 0.75]
    assert found.length == 12
    assert path.read_bytes()[found.start : found.end] == ds.PixelData
    assert same_without(path, monkeypatch)


def test_fragments_are_gone_through_to_their_end(tmp_path, monkeypatch):
    ds = sliced(PixelData=encapsulate([b"\xff\x4f\xff\x51" + bytes(60)]))
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    path = saved(tmp_path, ds, JPEG2000Lossless)
    found = plain_header(path, WANTED)
    assert found.length is None
    assert path.read_bytes()[found.end - 8 : found.end] == b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert same_without(path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-8])
    assert plain_header(path, WANTED) is None
    assert same_without(path, monkeypatch)


def test_a_deflated_file_is_walked_through_as_what_it_inflates_to(tmp_path, monkeypatch):
    path = saved(tmp_path, sliced(), DeflatedExplicitVRLittleEndian)
    found = plain_header(path, WANTED)
    assert found.deflated
    assert undeflated(path)[found.start : found.end] == sliced().PixelData
    assert same_without(path, monkeypatch)


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_deflated_file_that_was_cut_is_told_as_pydicom_tells_it(tmp_path, monkeypatch, cut):
    path = saved(tmp_path, sliced(), DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-cut])
    assert same_without(path, monkeypatch)


def test_what_cannot_be_inflated_is_said(tmp_path):
    path = saved(tmp_path, sliced(), DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    size = 144 + int.from_bytes(content[140:144], "little")
    path.write_bytes(content[:size] + b"\xff" * 40)
    assert "its data set cannot be inflated" in told(path)


def other(**attributes):
    return lambda folder: saved(folder, sliced(**attributes))


def bytewise():
    ds = sliced(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=bytes(range(6)))
    ds["PixelData"].VR = "OB"
    return ds


UNUSUAL = {
    "big-endian bytes": lambda folder: saved(folder, bytewise(), ExplicitVRBigEndian),
    "not ASCII": other(SpecificCharacterSet="ISO_IR 192", SeriesDescription="Schädel"),
    "escapes": other(SpecificCharacterSet=["", "ISO 2022 IR 87"], SeriesDescription="x"),
    "several values": other(SliceThickness=[1, 2]),
    "a lookup table": other(ModalityLUTSequence=Sequence([Dataset()])),
    "per-frame groups": other(PerFrameFunctionalGroupsSequence=Sequence([Dataset()])),
    "something behind": lambda folder: saved(folder, sliced(), behind=b"\x28\0\x10\0US\2\0\7\0"),
    "a byte behind": lambda folder: saved(folder, sliced(), behind=b"\0"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_left_to_pydicom(tmp_path, monkeypatch, name):
    path = UNUSUAL[name](tmp_path)
    assert plain_header(path, WANTED) is None
    assert same_without(path, monkeypatch)


def test_padding_behind_the_pixels_is_nothing_unusual(tmp_path, monkeypatch):
    path = saved(tmp_path, sliced(DataSetTrailingPadding=bytes(64)))
    assert plain_header(path, WANTED) is not None
    assert same_without(path, monkeypatch)


def test_an_error_is_told_with_values_as_they_stand_in_the_file(tmp_path, monkeypatch):
    path = saved(tmp_path, sliced(PixelSpacing=["1.50", "-2.0"]))
    assert "[1.50, -2.0]" in told(path)
    assert same_without(path, monkeypatch)


def test_each_real_file_is_told_as_pydicom_tells_it(data, monkeypatch):
    files = [path for path in sorted(data("awkward").rglob("*")) if path.is_file()]
    files += sorted(data("ct_dicom").iterdir())
    files = [path for path in files if is_dicom(path)]
    plain = [path for path in files if plain_header(path, WANTED) is not None]
    assert len(plain) > 0.5 * len(files)
    assert [path for path in plain if not same_without(path, monkeypatch)] == []


TEXT = st.text(st.characters(codec="ascii", exclude_characters="\\"), max_size=16)
NUMBER = st.from_regex(r"\A ?[+-]?[0-9]{1,4}(\.[0-9]{0,4})?([eE][+-]?[0-9])? ?\Z")


@given(
    texts=st.dictionaries(
        st.sampled_from(["PatientID", "SeriesDescription", "Manufacturer", "Modality"]), TEXT
    ),
    numbers=st.dictionaries(
        st.sampled_from(["SliceThickness", "EchoTime", "RescaleSlope", "RescaleIntercept"]),
        NUMBER | st.just(""),
    ),
    whole=st.dictionaries(
        st.sampled_from(["SeriesNumber", "InstanceNumber"]), st.integers(-9, 9999) | st.none()
    ),
    implicit=st.booleans(),
)
def test_whatever_values_a_header_has_pydicom_tells_the_same(
    tmp_path_factory, texts, numbers, whole, implicit
):
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
        ds = sliced(**texts, **numbers, **whole)
        path = saved(tmp_path_factory.mktemp("header"), ds, syntax)
        assert same_without(path, patch)


@given(place=st.integers(132, 700), byte=st.integers(0, 255), cut=st.integers(0, 20))
def test_a_damaged_header_is_never_told_as_anything_else(tmp_path_factory, place, byte, cut):
    path = saved(tmp_path_factory.mktemp("damaged"), sliced(PatientName="A^B"))
    content = bytearray(path.read_bytes())
    content[min(place, len(content) - 1)] = byte
    path.write_bytes(content[: len(content) - cut])
    with pytest.MonkeyPatch.context() as patch:
        assert same_without(path, patch)
