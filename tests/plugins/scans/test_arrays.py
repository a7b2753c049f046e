"""Arrays as numpy writes them, and as somebody else may."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, scan_header

VOLUME = np.arange(2 * 3 * 4).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "<i2", ">i2", ">u4", "<i8", "<f2", ">f4", "<f8", "<f16"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_real_type_in_either_order_is_read(tmp_path, dtype, order):
    array = np.asarray(VOLUME.astype(dtype), order=order)
    np.save(tmp_path / "scan.npy", array)
    np.savez_compressed(tmp_path / "scan.npz", image=array)
    for name in ("scan.npy", "scan.npz"):
        scan = read_scan(tmp_path / name)
        assert np.array_equal(scan.values, array.astype(np.float32))
        assert (scan.affine, scan.notes) == (None, ())
        assert scan_header(tmp_path / name).shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{}, None], object), "never unpickled"),
        (np.zeros((2, 2, 2), [("a", "f4"), ("b", "f4")]), "no numbers"),
        (np.zeros((2, 2, 2), complex), "no numbers"),
        (np.full((2, 2, 2), "a"), "no numbers"),
        (np.zeros((2, 2, 2), "M8[s]"), "no numbers"),
        (np.zeros(5), "1 axes"),
        (np.zeros(()), "0 axes"),
        (np.zeros((2, 1, 2, 2, 2)), "5 axes"),
        (np.zeros((2, 0, 2)), "at least one"),
    ],
)
def test_what_is_no_scan_is_refused_by_name(tmp_path, array, words):
    path = tmp_path / "scan.npy"
    np.save(path, array)
    with pytest.raises(DataError, match=words) as caught:
        read_scan(path)
    assert str(path) in str(caught.value)


def test_one_volume_of_several_is_chosen(tmp_path):
    path = tmp_path / "scans.npy"
    np.save(path, np.stack([VOLUME, VOLUME + 1]))
    with pytest.raises(DataError, match="volume=0 to volume=1"):
        read_scan(path)
    assert np.array_equal(read_scan(path, volume=1).values, VOLUME + 1)
    np.save(path, VOLUME[None])
    assert np.array_equal(read_scan(path).values, VOLUME)


def test_an_array_of_several_is_named_unless_one_alone_is_a_volume(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez(path, image=VOLUME, label=1, affine=np.eye(4))
    scan = read_scan(path)
    assert np.array_equal(scan.values, VOLUME)
    assert "array 'image' was taken; there are also label, affine" in scan.notes
    np.savez(path, image=VOLUME, mask=VOLUME > 0)
    with pytest.raises(DataError, match=r"2 arrays that may be meant.*image.*mask"):
        read_scan(path)
    assert np.array_equal(read_scan(path, series="mask").values, VOLUME > 0)
    with pytest.raises(DataError, match="there is no array 'other'"):
        read_scan(path, series="other")


def test_a_slice_alone_is_said(tmp_path):
    np.save(tmp_path / "scan.npy", VOLUME[0])
    scan = read_scan(tmp_path / "scan.npy")
    assert scan.values.shape == (1, 3, 4)
    assert "two-dimensional: read as a single slice" in scan.notes


def header_of(shape, dtype="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(1000, 1000, 1000), (10**9, 10**9, 10**9), (-1, 2, 3)])
def test_a_small_file_cannot_ask_for_a_large_array(tmp_path, shape):
    path = tmp_path / "scan.npy"
    path.write_bytes(header_of(shape))
    with pytest.raises(DataError, match=str(path)):
        read_scan(path)
    packed = tmp_path / "scan.npz"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", header_of(shape))
    with pytest.raises(DataError, match=str(packed)):
        read_scan(packed)


def test_a_zip_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "scan.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", header_of((2048, 1024, 1024), "|u1") + bytes(1 << 24))
    with pytest.raises(DataError, match="more than the"):
        read_scan(path)


@pytest.mark.parametrize("name", ["scan.npy", "scan.npz"])
def test_a_truncated_or_spoilt_file_is_refused(tmp_path, name):
    path = tmp_path / name
    array = np.random.default_rng(0).integers(0, 99, (9, 9, 9))
    np.save(path, array) if name.endswith("npy") else np.savez_compressed(path, image=array)
    content = path.read_bytes()
    for size in (3, 50, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=str(path)):
            read_scan(path)
    if name.endswith("npz"):
        spoilt = bytearray(content)
        spoilt[len(content) // 2] ^= 1
        path.write_bytes(spoilt)
        with pytest.raises(DataError, match=str(path)):
            read_scan(path)


def test_nothing_is_unpickled(tmp_path):
    canary = tmp_path / "canary"

    class Malicious:
        def __reduce__(self):
            return (canary.touch, ())

    np.save(tmp_path / "scan.npy", np.array([Malicious()], object))
    np.savez(tmp_path / "scan.npz", image=np.array([Malicious()], object))
    for name in ("scan.npy", "scan.npz"):
        with pytest.raises(DataError):
            read_scan(tmp_path / name)
    assert not canary.exists()


def test_an_archive_without_arrays_or_with_doubles_is_refused(tmp_path):
    path = tmp_path / "scan.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(DataError, match="there is no array in it"):
        read_scan(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", header_of((1, 1, 1)) + bytes(8))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("image.npy", header_of((1, 1, 1)) + bytes(8))
    with pytest.raises(DataError, match="there twice"):
        read_scan(path)


@pytest.mark.parametrize("shape", [(1, 1, 4, 3, 2), (4, 3, 2, 1), (1, 4, 3, 2, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_batch_or_channel_of_one_is_left_out_and_said(tmp_path, shape, order):
    volume = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    np.save(tmp_path / "scan.npy", np.array(volume.reshape(shape), order=order))
    scan = read_scan(tmp_path / "scan.npy")
    assert np.array_equal(scan.values, volume)
    assert f"axes of length 1 were left out of {shape}" in scan.notes


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64"])
def test_whole_numbers_that_float32_cannot_hold_are_said(tmp_path, dtype):
    values = np.full((2, 3, 4), np.iinfo(dtype).max, dtype)
    np.save(tmp_path / "scan.npy", values)
    assert any("were rounded" in note for note in read_scan(tmp_path / "scan.npy").notes)
