"""Slices as images, and what image files may have beside grey values."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, scan_header

RNG = np.random.default_rng(2)
VOLUME = RNG.integers(0, 60000, (12, 7, 9)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scan"
    path.mkdir()
    return path


def save(folder, volume=VOLUME, name="slice{}.png", numbers=None, **options):
    for number, pixels in zip(numbers or range(1, len(volume) + 1), volume, strict=True):
        Image.fromarray(pixels).save(folder / name.format(number), **options)
    return folder


def test_sixteen_bits_are_kept_and_numbers_count(folder):
    scan = read_scan(save(folder))
    assert np.array_equal(scan.values, VOLUME.astype(np.float32))
    assert (scan.affine, scan.spacing, scan.notes) == (None, None, ())
    assert scan_header(folder).shape == VOLUME.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_every_type_of_tiff_is_read_page_by_page_and_file_by_file(folder, dtype, compression):
    volume = (VOLUME // 300).astype(dtype)
    tifffile.imwrite(folder.parent / "pages.tif", volume, photometric="minisblack",
                     compression=compression)  # fmt: skip
    for number, pixels in enumerate(volume):
        tifffile.imwrite(folder / f"IM{number:05}.tiff", pixels, compression=compression)
    for path in (folder, folder.parent / "pages.tif"):
        scan = read_scan(path)
        assert np.array_equal(scan.values, volume.astype(np.float32))
        assert scan.header.dtype == np.dtype(dtype).name
        assert scan.notes == ()


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"predictor": True, "compression": "zlib"},
        {"rowsperstrip": 2},
        {"imagej": True},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
)
def test_every_layout_of_tiff_is_read(tmp_path, options):
    suffix = ".ome.tif" if "ome" in options else ".tif"
    path = tmp_path / f"scan{suffix}"
    tifffile.imwrite(path, VOLUME, photometric="minisblack", **options)
    assert np.array_equal(read_scan(path).values, VOLUME.astype(np.float32))


@pytest.mark.parametrize("axis", ["C", "T"])
def test_a_stack_labelled_as_channels_or_times_is_read_and_said(tmp_path, axis):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, VOLUME, imagej=True, metadata={"axes": f"{axis}YX"})
    scan = read_scan(path)
    assert np.array_equal(scan.values, VOLUME.astype(np.float32))
    assert f"its pages are labelled {axis}" in " ".join(scan.notes)


def test_a_spacing_that_imagej_states_is_said(tmp_path):
    path = tmp_path / "scan.tif"
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": "mm"}
    tifffile.imwrite(path, VOLUME, imagej=True, resolution=(0.5, 0.5), metadata=metadata)
    scan = read_scan(path)
    assert np.array_equal(scan.values, VOLUME.astype(np.float32))
    assert "ImageJ says that slices are 2.5 (mm) apart; that was not used" in scan.notes


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((2, 3, 7, 9), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "its axes are ZCYX"),
        ((7, 9, 3), {"photometric": "rgb"}, "in colour"),
        (
            (7, 9),
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "in colour",
        ),
        (
            (4, 7, 9),
            {"photometric": "minisblack", "extratags": [(274, "H", 1, 6, True)]},
            "turned or mirrored",
        ),
    ],
)
def test_tiff_files_of_something_else_are_refused_by_name(tmp_path, shape, options, words):
    path = tmp_path / "scan.tif"
    dtype = np.uint16 if "imagej" in options else np.uint8
    tifffile.imwrite(path, np.zeros(shape, dtype), **options)
    with pytest.raises(DataError, match=words) as caught:
        read_scan(path)
    assert str(path) in str(caught.value)


def test_pages_of_different_size_are_refused(tmp_path):
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path) as writer:
        for size in (7, 7, 8):
            writer.write(np.zeros((size, 9), np.uint16), contiguous=False)
    with pytest.raises(DataError, match="no one stack"):
        read_scan(path)


def test_complex_numbers_are_no_intensities(tmp_path):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.zeros((4, 7, 9), np.complex64), photometric="minisblack")
    with pytest.raises(DataError, match="no real numbers"):
        read_scan(path)


def test_low_may_be_white(tmp_path):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, VOLUME, photometric="miniswhite")
    scan = read_scan(path)
    assert np.array_equal(scan.values, VOLUME.astype(np.float32))
    assert "low values are white" in " ".join(scan.notes)


def test_several_files_of_many_pages_are_asked_about(folder):
    for name in "12":
        tifffile.imwrite(folder / f"{name}.tif", VOLUME, photometric="minisblack")
    with pytest.raises(DataError, match="12 pages and lies beside other images"):
        read_scan(folder)


def test_grey_that_is_stored_in_colour_is_grey(folder):
    grey = (VOLUME // 256).astype(np.uint8)
    save(folder, np.repeat(grey[..., None], 3, axis=-1))
    scan = read_scan(folder)
    assert np.array_equal(scan.values, grey.astype(np.float32))
    assert "stored in colour (RGB), and grey throughout" in scan.notes


def test_a_grey_palette_is_grey_and_opaque_is_opaque(tmp_path):
    grey = (VOLUME[0] // 256).astype(np.uint8)
    image = Image.fromarray(grey)
    palette = image.convert("P")
    for name, saved in (("p", palette), ("la", image.convert("LA")), ("a", image.convert("RGBA"))):
        saved.save(tmp_path / f"{name}.png")
        scan = read_scan(tmp_path / f"{name}.png")
        assert np.array_equal(scan.values[0], grey)
        assert "grey throughout" in " ".join(scan.notes)


def coloured(path):
    Image.new("RGB", (9, 7), (1, 2, 3)).save(path)


def transparent(path):
    Image.new("LA", (9, 7), (1, 2)).save(path)


def many_coloured_palette(path):
    image = Image.new("P", (9, 7), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(path)


def animated(path):
    frames = [Image.new("L", (9, 7), level) for level in (1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (9, 7)).save(path, exif=exif)


def coloured_16_bit(path):
    rows = b"".join(b"\0" + bytes(9 * 6) for _ in range(7))
    write_png(path, struct.pack(">IIBBBBB", 9, 7, 16, 2, 0, 0, 0), rows)


def too_large(path):
    write_png(path, struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0), b"")


def truncated(path):
    Image.fromarray(VOLUME[0]).save(path)
    path.write_bytes(path.read_bytes()[:-40])


def write_png(path, header, rows):
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        checksum = zlib.crc32(name + body)
        content += struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (coloured, "in colour"),
        (transparent, "transparent"),
        (many_coloured_palette, "in colour"),
        (animated, "animated"),
        (turned, "turned or mirrored"),
        (coloured_16_bit, "in colour|cannot be read"),
        (too_large, "exceeds limit"),
        (truncated, "cannot be read"),
    ],
)
def test_png_files_of_something_else_are_refused_by_name(tmp_path, make, words):
    path = tmp_path / "slice.png"
    make(path)
    with pytest.raises(DataError, match=words) as caught:
        read_scan(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_a_pixel_are_read_as_stored_and_said(tmp_path, bits):
    levels = np.arange(8 * 4).reshape(4, 8) % 2**bits
    packed = np.packbits((levels[..., None] >> np.arange(bits)[::-1]) & 1, axis=None)
    rows = b"".join(b"\0" + bytes(row) for row in packed.reshape(4, -1))
    path = tmp_path / "slice.png"
    write_png(path, struct.pack(">IIBBBBB", 8, 4, bits, 0, 0, 0, 0), rows)
    scan = read_scan(path)
    assert np.array_equal(scan.values[0], levels)
    assert f"{bits} bit a pixel" in " ".join(scan.notes)


def test_jpeg_slices_say_that_they_lost_something(folder):
    grey = np.tile(np.arange(0, 180, 20, dtype=np.uint8), (3, 7, 1))
    scan = read_scan(save(folder, grey, name="{}.jpg", quality=95))
    assert np.abs(scan.values - grey).max() < 12
    assert "JPEG: was compressed with loss" in scan.notes


def test_missing_numbers_are_said(folder):
    scan = read_scan(save(folder, VOLUME[:4], numbers=[1, 2, 5, 6]))
    assert "2 numbers between 1 and 6 are not there, such as 3" in " ".join(scan.notes)
    assert len(scan.values) == 4


def test_numbers_in_steps_are_no_gap(folder):
    assert read_scan(save(folder, VOLUME[:4], numbers=[10, 20, 30, 40])).notes == ()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a1.png", "a2.png", "b1.png"], "2 patterns"),
        (["1.png", "1_mask.png"], "2 patterns"),
        (["p1_s1.png", "p1_s2.png", "p2_s1.png"], "more than one number"),
        (["s1.png", "s01.png"], "zeros before a number"),
        (["s1.png", "s2.png", "s02.png"], "is there twice"),
    ],
)
def test_names_that_give_no_order_are_refused(folder, names, words):
    for name in names:
        Image.fromarray(VOLUME[0]).save(folder / name)
    with pytest.raises(DataError, match=words):
        read_scan(folder)


def test_slices_that_differ_are_named(folder):
    save(folder)
    Image.fromarray(VOLUME[0][:, :5]).save(folder / "slice5.png")
    with pytest.raises(DataError, match=r"differ in size: slice5\.png"):
        read_scan(folder)
    Image.fromarray((VOLUME[0] // 256).astype(np.uint8)).save(folder / "slice5.png")
    with pytest.raises(DataError, match=r"differ in dtype: slice5\.png"):
        read_scan(folder)


def test_a_damaged_slice_is_named_and_never_dropped(folder):
    save(folder)
    (folder / "slice12.png").write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"slice12\.png: is no image, in spite of its name"):
        read_scan(folder)


def test_other_files_are_passed_over_and_named(folder):
    save(folder)
    (folder / "notes.txt").write_text("seen")
    (folder / "._slice1.png").write_text("no slice")
    scan = read_scan(folder)
    assert np.array_equal(scan.values, VOLUME.astype(np.float32))
    assert "notes.txt" in " ".join(scan.notes)


def test_images_of_two_formats_are_asked_about(folder):
    save(folder, VOLUME[:2])
    tifffile.imwrite(folder / "slice3.tif", VOLUME[2])
    with pytest.raises(DataError, match="2 PNG, 1 TIFF"):
        read_scan(folder)
