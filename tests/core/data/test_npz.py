"""Arrays that somebody put into the data folder."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from medpipe_core.data import (
    DataError,
    data_file,
    data_folder,
    npz,
    npz_header,
    npz_shape,
    read_npz,
)


@pytest.fixture
def scans(tmp_path):
    path = tmp_path / "scans.npz"
    np.savez_compressed(path, images=np.arange(24, dtype="u1").reshape(2, 3, 4), labels=[1, 0])
    return path


def test_arrays_are_read_in_the_order_asked(scans):
    labels, images = read_npz(scans, "labels", "images")
    assert labels.tolist() == [1, 0]
    assert images.dtype == np.uint8
    assert images[1, 2, 3] == 23


def test_a_shape_is_known_from_the_header_alone(scans):
    assert npz_shape(scans, "images") == (2, 3, 4)


def test_the_order_in_memory_does_not_matter_to_reading(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "f.npz", a=array)
    assert np.array_equal(read_npz(tmp_path / "f.npz", "a")[0], array)
    assert npz_shape(tmp_path / "f.npz", "a") == (2, 3)


def test_a_missing_array_is_told_with_those_that_are_there(scans):
    with pytest.raises(DataError, match=r"no array 'patients' in it; it has images, labels"):
        read_npz(scans, "images", "patients")


def damaged(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def text(path):
    path.write_text("volume,label\n")


def gone(path):
    path.unlink()


def no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", "not an array")


def objects(path):
    held = io.BytesIO()
    np.lib.format.write_array(held, np.array([{}, 1], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", held.getvalue())


@pytest.mark.parametrize("spoil", [damaged, text, gone, no_array, objects])
def test_a_file_that_is_no_npz_is_told_by_its_path_and_never_unpickled(scans, spoil):
    spoil(scans)
    with pytest.raises(DataError, match=r"scans\.npz: not a readable npz file") as caught:
        read_npz(scans, "images")
    assert ("holds Python objects" in str(caught.value)) == (spoil is objects)


def write(path, name="images", *, header=None, body=b"", compression=zipfile.ZIP_DEFLATED):
    """Write one array by hand: a header of this shape or text, and this body."""
    stream = io.BytesIO()
    if isinstance(header, tuple):
        said = {"descr": "|u1", "fortran_order": False, "shape": header}
        np.lib.format.write_array_header_1_0(stream, said)
    else:
        text = header.encode("latin1")
        stream.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{name}.npy", stream.getvalue() + body)
    return path


def peak_of(call):
    tracemalloc.start()
    try:
        call()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ((40_000_000_000,), b""),  # 37 GiB of a file of 189 bytes
        ((2**31, 2**31, 2**31), b""),
        ((10**400,), b""),
        ((5,), b"1234"),
        ((5,), b"123456"),
        ((0, 7), b"1"),
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused_before_memory_is_taken(
    tmp_path, shape, body
):
    path = write(tmp_path / "scans.npz", header=shape, body=body)

    def read():
        with pytest.raises(DataError, match=r"scans\.npz: not a readable .*'images' is \("):
            read_npz(path, "images")
        with pytest.raises(DataError, match=r"but the file has"):
            npz_shape(path, "images")

    assert peak_of(read) < 5e6


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    path = write(tmp_path / "scans.npz", header=(2**31,))
    whole = bytearray(path.read_bytes())
    central = whole.index(b"PK\x01\x02")
    for at in (central + 24, 22):  # the stated size, in the directory and before the array
        whole[at : at + 4] = (2**31 + 128).to_bytes(4, "little")
    path.write_bytes(whole)

    def read():
        with pytest.raises(DataError, match=r"scans\.npz: not a readable npz file"):
            read_npz(path, "images")

    assert peak_of(read) < 5e6


def test_an_array_larger_than_the_memory_that_is_left_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "scans.npz", images=np.zeros(3_000_000, np.uint8))
    monkeypatch.setattr(npz, "_LARGE", 10**6)
    monkeypatch.setattr(npz, "_memory_left", lambda: 2_000_000)

    def read():
        with pytest.raises(DataError, match=r"memory left\. Save .* mmap_mode='r'"):
            read_npz(tmp_path / "scans.npz", "images")

    assert peak_of(read) < 1e6
    monkeypatch.setattr(npz, "_memory_left", lambda: 4_000_000)
    assert read_npz(tmp_path / "scans.npz", "images")[0].shape == (3_000_000,)


HEADERS = {
    "no text": "\x00" * 20,
    "a token that never ends": "{'descr': '|u1', 'shape': (1,",
    "of Python 2": "{'descr': '|u1', 'fortran_order': False, 'shape': (4L,)}",
    "code": "__import__('os').system('touch canary')",
    "deep": "[" * 3000,
    "a number": "7",
    "keys that are none": "{'descr': '|u1'}",
    "no type": "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}",
    "a shape of texts": "{'descr': '|u1', 'fortran_order': False, 'shape': ('1',)}",
    "a negative length": "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -4)}",
    "many axes": f"{{'descr': '|u1', 'fortran_order': False, 'shape': {(1,) * 70}}}",
    "no bytes": "{'descr': '|V0', 'fortran_order': False, 'shape': (4,)}",
    "objects within": "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("read", [read_npz, npz_shape, npz_header])
def test_a_header_that_is_none_is_told_in_words(tmp_path, monkeypatch, case, read):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "scans.npz", header=HEADERS[case] + "\n", body=b"abcd")
    with pytest.raises(DataError, match=r"scans\.npz: not a readable npz file \('images'"):
        read(path, "images")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("how", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_compressions_that_numpy_does_not_write_are_refused_unopened(tmp_path, how):
    path = write(tmp_path / "scans.npz", header=(4,), body=b"abcd", compression=how)
    with pytest.raises(DataError, match=r"compressed by (lzma|bzip2); numpy.savez_compressed"):
        read_npz(path, "images")


def test_an_encrypted_array_is_told_as_one(scans):
    whole = bytearray(scans.read_bytes())
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := whole.find(sign, at + 1)) >= 0:
            whole[at + flags] |= 1
    scans.write_bytes(whole)
    with pytest.raises(DataError, match=r"'images' is encrypted"):
        read_npz(scans, "images")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a device"])
def test_what_is_no_regular_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "scans.npz"
    if kind == "pipe":
        os.mkfifo(path)  # whoever opens it waits for ever
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    for read in (read_npz, npz_shape):
        with pytest.raises(DataError, match=f"{path}: not a readable npz file .*regular"):
            read(path, "images")
    with pytest.raises(DataError, match="there is no file"):
        data_file(path.name, path.parent)


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_file_with_a_byte_changed_is_read_right_or_told(scans, at):
    whole = bytearray(scans.read_bytes())
    whole[at % len(whole)] ^= 0x55
    scans.write_bytes(whole)
    told = ""
    try:
        images, labels = read_npz(scans, "images", "labels")
    except DataError as error:
        told = str(error)
    same = not told and np.array_equal(images.ravel(), np.arange(24)) and labels.tolist() == [1, 0]
    assert same or str(scans) in told


def test_all_arrays_that_cannot_be_read_are_told_at_once(tmp_path):
    path = tmp_path / "scans.npz"
    np.savez(path, images=np.array([{}], object), labels=np.arange(3))
    with pytest.raises(DataError) as caught:
        read_npz(path, "images", "patients", "labels")
    assert caught.match("'images' holds Python objects.*no array 'patients' in it")
    assert str(caught.value).count("scans.npz") == 1


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6, dtype=">i4"),
        np.array(["p", "quarter"]),
        np.array([b"p", b"q"]),
        np.zeros((0, 3)),
        np.array(7),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    ],
)
def test_arrays_of_all_kinds_come_back_as_they_were(tmp_path, array):
    np.savez_compressed(tmp_path / "a.npz", a=array)
    (found,) = read_npz(tmp_path / "a.npz", "a")
    assert found.dtype == array.dtype
    assert npz_header(tmp_path / "a.npz", "a") == (array.shape, array.dtype)
    assert np.array_equal(found, array)


def test_the_data_folder_is_the_one_given_then_the_variables_then_data(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDPIPE_DATA", str(tmp_path))
    assert data_folder("/scans").as_posix() == "/scans"
    assert data_folder(None) == tmp_path
    monkeypatch.delenv("MEDPIPE_DATA")
    assert data_folder().as_posix() == "data"


def test_a_missing_file_is_told_with_its_folder_and_the_remedy(scans):
    assert data_file("scans.npz", scans.parent) == scans
    with pytest.raises(DataError, match=rf"'x\.npz' in {scans.parent};.*data\.root.*Ask Eve\."):
        data_file("x.npz", scans.parent, remedy="Ask Eve.")
