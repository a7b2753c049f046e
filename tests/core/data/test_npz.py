"""Arrays that somebody put into the data folder."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from medpipe_core.data import DataError, data_file, data_folder, npz_shape, read_npz


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
