"""Thousands of damaged files of every format: each is a scan, or refused by name."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("hostile.py")
FORMATS = [
    "nifti-1",
    "nifti-2",
    "nifti-gz",
    "nifti-gz-inside",
    "dicom",
    "dicom-implicit",
    "dicom-deflated",
    "dicom-big-endian",
    "dicom-frames",
    "dicom-rle",
    "dicom-jpeg",
    "dicom-jpeg-lossless",
    "dicom-jpeg-ls",
    "dicom-jpeg-2000",
    "dicom-bare",
    "png",
    "png-palette",
    "png-transparent",
    "tiff",
    "tiff-lzw",
    "tiff-tiles",
    "tiff-imagej",
    "tiff-big",
    "npy",
    "npy-fortran",
    "npz",
    "npz-stored",
    "dicom-series",
    "png-folder",
]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_read_or_refused_by_name(tmp_path, form):
    words = [sys.executable, str(SCRIPT), form, "200", "1", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "refused" in done.stdout


def test_every_format_is_tried():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert done.stdout.split() == FORMATS
