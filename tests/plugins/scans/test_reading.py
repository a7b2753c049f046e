"""What goes for every format: paths, channels, and readers of other packages."""

from __future__ import annotations

import gzip
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

from medpipe_core import MissingExtraError, load_plugins
from medpipe_core.data import DataError
from medpipe_core.plugins import UnknownNameError
from medpipe_plugins.scans import Scan, ScanHeader, read_scan, scan_files, scan_header

VOLUME = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def array(tmp_path):
    np.save(tmp_path / "scan.npy", VOLUME)
    return tmp_path / "scan.npy"


def unreadable(folder):
    path = folder / "closed.npy"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    return path


def fifo(folder):
    os.mkfifo(folder / "pipe.nii")
    return folder / "pipe.nii"


def circle(folder):
    (folder / "circle").symlink_to(folder / "circle")
    return folder / "circle"


def dangling(folder):
    (folder / "dangling.nii").symlink_to(folder / "nothing")
    return folder / "dangling.nii"


def empty(folder):
    (folder / "empty.nii").touch()
    return folder / "empty.nii"


def text(folder):
    (folder / "notes.nii").write_text("no scan")
    return folder / "notes.nii"


def empty_folder(folder):
    (folder / "none").mkdir()
    return folder / "none"


def folder_of_text(folder):
    (folder / "texts").mkdir()
    (folder / "texts" / "notes.txt").write_text("no scan")
    return folder / "texts"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nothing.nii", "there is no such file or folder"),
        (lambda folder: folder / "no" / "folder.nii", "there is no such file or folder"),
        (lambda folder: pathlib.Path("/dev/zero"), "a device, pipe or socket"),
        (lambda folder: "a\0b", "cannot be opened"),
        (lambda folder: "~nobody_of_this_name/scan.nii", "cannot be opened"),
        (lambda folder: folder / ("x" * 5000), "cannot be opened"),
        (fifo, "a device, pipe or socket"),
        (circle, "cannot be opened"),
        (dangling, "there is no such file"),
        (unreadable, "cannot be opened"),
        (empty, "is empty"),
        (text, "begins with b'no scan'"),
        (empty_folder, "in which no scan was found"),
        (folder_of_text, r"notes\.txt"),
    ],
)
def test_paths_that_lead_nowhere_are_told(tmp_path, make, words):
    path = make(tmp_path)
    for read in (read_scan, scan_header):
        with pytest.raises(DataError, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_path_that_is_nearly_right_is_named(array):
    with pytest.raises(DataError, match=r"Did you mean 'scan\.npy'"):
        read_scan(array.with_name("scam.npy"))


def test_pipes_and_devices_in_a_folder_are_not_opened(dicom_series):
    folder = dicom_series()
    os.mkfifo(folder / "pipe.dcm")
    (folder / "zero.dcm").symlink_to("/dev/zero")
    assert read_scan(folder).values.shape == (4, 5, 6)


def test_several_files_are_channels_of_one_scan(tmp_path, nifti, ramp):
    paths = [nifti(ramp, name="t1.nii"), nifti(ramp + 1, name="t2.nii.gz")]
    scan = read_scan(paths)
    assert np.array_equal(scan.values, np.stack([ramp, ramp + 1]))
    assert scan.header.shape == scan.values.shape
    assert scan.spacing == (2, 3, 4)


def test_channels_on_different_grids_are_refused(nifti, ramp):
    one = nifti(ramp, name="t1.nii")
    moved = np.diag([2.0, 3.0, 4.0, 1.0])
    moved[0, 3] = 1
    for other in (nifti(ramp, moved, name="moved.nii"), nifti(ramp[1:], name="cut.nii")):
        with pytest.raises(DataError, match=f"{other.name}: lies on another grid"):
            read_scan([one, other])
    with pytest.raises(DataError, match="no path was given"):
        read_scan([])


def test_a_folder_of_two_kinds_is_asked_about(dicom_series, nifti, ramp):
    folder = dicom_series()
    nifti(ramp, name="series/converted.nii")
    with pytest.raises(DataError, match=r"2 ways \(dicom, nifti\)"):
        read_scan(folder)
    assert read_scan(folder, reader="nifti").values.shape == ramp.shape
    assert read_scan(folder, reader="dicom").values.shape == (4, 5, 6)
    with pytest.raises(DataError, match="there is no reader 'png'"):
        read_scan(folder, reader="png")


class TextReader:
    """A reader of another package that knows nothing of this one."""

    def reads(self, path):
        return path.suffix == ".acme"

    def header(self, path, *, series=None, volume=None):
        return types.SimpleNamespace(shape=(1, 2, 3), dtype="text")

    def read(self, path, *, series=None, volume=None):
        if path.read_text() == "broken":
            raise RuntimeError("what a pity")
        values = np.array(path.read_text().split(), float).reshape(1, 2, 3)
        return types.SimpleNamespace(values=values, affine=np.eye(4), notes=["of letters"])


def test_the_reader_of_another_package_reads_its_files(tmp_path, array):
    registry = load_plugins().adding("reader", "acme", TextReader)
    path = tmp_path / "scan.acme"
    path.write_text("1 2 3 4 5 6")
    scan = read_scan(path, registry=registry)
    assert isinstance(scan, Scan)
    assert scan.values.dtype == np.float32
    assert scan.values.ravel().tolist() == [1, 2, 3, 4, 5, 6]
    assert (scan.spacing, scan.notes) == ((1, 1, 1), ("of letters",))
    header = scan_header(path, registry=registry)
    assert isinstance(header, ScanHeader)
    assert (header.shape, header.format) == ((1, 2, 3), "acme")
    assert np.array_equal(read_scan(array, registry=registry).values, VOLUME)
    path.write_text("broken")
    with pytest.raises(DataError, match=r"scan\.acme: cannot be read as acme.*what a pity"):
        read_scan(path, registry=registry)
    with pytest.raises(UnknownNameError, match="Did you mean 'acme'"):
        read_scan(path, registry=registry, reader="acne")
    with pytest.raises(DataError, match="no scan of a known kind"):
        read_scan(path)


def test_the_readers_are_registered():
    assert load_plugins().names("reader") == ["dicom", "image-slices", "nifti", "numpy"]


def test_a_missing_package_is_told_with_the_extra(nifti, ramp, monkeypatch):
    path = nifti(ramp)
    for name in [name for name in sys.modules if name.startswith("medpipe_plugins.scans.nifti")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "medpipe_plugins.scans.geometry", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "nibabel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"'nibabel'.*pip install \"medpipe\[scans\]\""):
        read_scan(path)


def test_importing_and_sniffing_wait_for_no_library(array):
    code = (
        "import sys, pathlib\n"
        "from medpipe_plugins.scans import read_scan\n"
        f"read_scan({str(array)!r})\n"
        "heavy = {'nibabel', 'pydicom', 'PIL', 'tifffile', 'imagecodecs', 'torch'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


MEMORY = """
import resource, sys
from medpipe_plugins.scans import read_scan
small, large = sys.argv[1:]
read_scan(small)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
scan = read_scan(large)
print((peak() - before) * 1024 / scan.values.nbytes)
"""


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.npy", "scan.npz"])
def test_reading_takes_little_more_memory_than_the_scan(tmp_path, nifti, name):
    volume = np.random.default_rng(0).integers(0, 3, (192, 192, 192)).astype(np.int16)
    paths = []
    for folder, array in (("small", volume[:8, :8, :8]), ("large", volume)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / name
        if "nii" in name:
            nifti(array, np.diag([-2.0, 3.0, 4.0, 1.0]), name=f"{folder}/{name}")
        elif name.endswith("npy"):
            np.save(path, array)
        else:
            np.savez(path, image=array)
        paths.append(str(path))
    words = [sys.executable, "-c", MEMORY, *paths]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.3


def test_the_files_that_a_scan_is_read_from_are_told(array, tmp_path, dicom_series):
    import nibabel

    assert scan_files(array) == [array]
    nibabel.save(nibabel.Nifti1Pair(VOLUME, np.eye(4)), tmp_path / "pair.hdr")
    pair = [tmp_path / "pair.hdr", tmp_path / "pair.img"]
    assert scan_files(pair[0]) == scan_files(pair[1]) == pair
    folder = dicom_series()
    (folder / "inner").mkdir()
    (folder / "inner" / "notes.txt").write_text("beside the slices")
    (folder / ".hidden").write_text("")
    found = scan_files(folder)
    assert found == sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."
    )
    assert scan_files(found[0]) == [found[0]]
    with pytest.raises(DataError, match="no such file"):
        scan_files(tmp_path / "missing.nii")


def test_a_reader_may_say_which_files_it_reads(tmp_path):
    class Pairs:
        def reads(self, path):
            return path.suffix == ".acme"

        def files(self, path):
            return [path, path.with_suffix(".raw")]

    registry = load_plugins().adding("reader", "acme", Pairs)
    (tmp_path / "a.acme").write_text("header")
    expected = [tmp_path / "a.acme", tmp_path / "a.raw"]
    assert scan_files(tmp_path / "a.acme", registry=registry) == expected


def _gzip(content):
    """Compress without the hour, which would be in the names of tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"BZh91AY", "compressed by bzip2; unpack it"),
        (b"PK\x03\x04", "zip archive; unpack it"),
        (b"NRRD0004", "NRRD file; convert it to NIfTI"),
        (b"ObjectType = Image", "MetaImage file; convert it"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"<!DOCTYPE html>", "a download that failed"),
        (b"\0\x05\x16\x07", "macOS leaves beside files"),
        (_gzip(_gzip(b"0")), "gzip twice"),
        (_gzip(bytes(128) + b"DICM" + bytes(200)), "DICOM file in gzip"),
        (_gzip(bytes(257) + b"ustar" + bytes(200)), "tar archive"),
    ],
)
def test_what_is_no_scan_is_told_with_the_remedy(tmp_path, content, words):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "scan.nii.gz").write_bytes(content)
    for path in (tmp_path / "scan" / "scan.nii.gz", tmp_path / "scan"):
        with pytest.raises(DataError, match=words):
            read_scan(path)


def test_what_is_no_path_here_is_told():
    with pytest.raises(DataError, match="an empty text is no path"):
        read_scan("")
    with pytest.raises(DataError, match="nothing is fetched"):
        read_scan("https://example.org/scan.nii.gz")


def test_a_file_is_no_two_channels(nifti, ramp):
    path = nifti(ramp)
    with pytest.raises(DataError, match="is given twice"):
        read_scan([path, path])
