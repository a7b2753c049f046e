"""NIfTI headers with all that is allowed in them, and more."""

from __future__ import annotations

import gzip
import shutil

import nibabel
import numpy as np
import pytest

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, scan_header

AFFINES = {
    "RAS": np.diag([2.0, 3.0, 4.0, 1.0]),
    "LPI": np.diag([-2.0, -3.0, -4.0, 1.0]),
    "AIR": np.array([[0, 0, 4.0, 1], [2.0, 0, 0, 2], [0, -3.0, 0, 3], [0, 0, 0, 1]]),
}


def oblique():
    turn = 0.3
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([2.0, -3.0, 4.0])
    affine[:3, 3] = 10, -20, 30
    return affine


@pytest.mark.parametrize("affine", [*AFFINES.values(), oblique()], ids=[*AFFINES, "oblique"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_every_voxel_keeps_its_place_in_the_patient(nifti, ramp, affine, kind, name):
    scan = read_scan(nifti(ramp, affine, name=name, kind=kind))
    order = np.argsort(scan.values.strides)[::-1]
    assert scan.values.transpose(order).flags.c_contiguous  # no gaps, none runs backwards
    assert np.all(np.diag(scan.affine)[:3] > 0)
    back = np.linalg.inv(affine) @ scan.affine
    for index in np.ndindex(scan.values.shape):
        i, j, k, _ = np.round(back @ [*index, 1]).astype(int)
        assert scan.values[index] == ramp[i, j, k]
    assert scan.notes == ()


@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", ">u8", "<f4", ">f8"]
)
def test_every_real_type_is_read(tmp_path, dtype):
    array = np.arange(24).reshape(4, 3, 2).astype(dtype)
    path = tmp_path / "scan.nii"
    header = nibabel.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(array.shape)
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(4) + array.tobytes(order="F"))
    scan = read_scan(path)
    assert np.array_equal(scan.values, array.astype(np.float32))
    assert scan.header.dtype == str(np.dtype(dtype).newbyteorder("="))


def test_whole_numbers_that_float32_cannot_hold_are_said(nifti):
    array = np.full((3, 3, 3), 2**24 + 1, np.int32)
    assert "whole numbers too large for float32 were rounded" in read_scan(nifti(array)).notes


@pytest.mark.parametrize(
    ("slope", "inter", "factor", "shift"),
    [(2, 7, 2, 7), (0, 7, 1, 0), (np.nan, np.nan, 1, 0), (np.inf, 0, 1, 0), (1, 5, 1, 5)],
)
def test_values_are_scaled_once_or_as_stored(nifti, ramp, slope, inter, factor, shift):
    path = nifti(ramp, scl_slope=slope, scl_inter=inter)
    scan = read_scan(path)
    assert np.array_equal(scan.values, ramp.astype(np.float32) * factor + shift)
    assert bool(scan.notes) == (slope in (0, np.inf) or slope != slope)


def test_a_slope_without_an_intercept_is_refused(nifti, ramp):
    with pytest.raises(DataError, match="scl_inter is nan"):
        read_scan(nifti(ramp, scl_slope=2, scl_inter=np.nan))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"magic": b"xyz"}, "its magic is b'xyz'"),
        ({"magic": b"ni1"}, "no image file of the same name"),
        ({"dim": [0] * 8}, "impossible sizes"),
        ({"dim": [3, 5, -4, 3, 1, 1, 1, 1]}, "impossible sizes"),
        ({"dim": [3, 5, 0, 3, 1, 1, 1, 1]}, "impossible sizes"),
        ({"dim": [9, 5, 4, 3, 1, 1, 1, 1]}, "impossible sizes"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "more than the 1073741824"),
        ({"dim": [3, 500, 400, 300, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [5, 5, 2, 1, 2, 3, 1, 1]}, "5 dimensions"),
        ({"dim": [4, 5, 4, 1, 3, 1, 1, 1]}, "3 volumes"),
        ({"datatype": 0}, "voxels are of no type that is known"),
        ({"datatype": 1}, "voxels are"),
        ({"datatype": 1536}, "voxels are"),
        ({"datatype": 32}, "complex numbers"),
        ({"datatype": 128}, "colours"),
        ({"datatype": 777}, "777"),
        ({"vox_offset": 100}, "inside its header"),
        ({"vox_offset": np.nan}, "which cannot be"),
        ({"vox_offset": -16}, "which cannot be"),
        ({"vox_offset": 1e30}, "which cannot be"),
        ({"vox_offset": 100_000}, "truncated"),
        ({"intent_code": 3001}, "CIFTI"),
        ({"sform_code": 0, "pixdim": [1, 0, 2, 2, 1, 1, 1, 1]}, "cannot be known"),
        ({"sform_code": 0, "pixdim": [1, np.nan, 2, 2, 1, 1, 1, 1]}, "cannot be known"),
    ],
)
def test_what_no_header_may_say_is_refused_by_name(nifti, ramp, fields, words):
    path = nifti(ramp, **fields)
    with pytest.raises(DataError, match=words) as caught:
        read_scan(path)
    assert str(path) in str(caught.value)
    with pytest.raises(DataError, match=words):
        scan_header(path)


def test_a_header_that_says_zero_where_voxels_begin_is_read_behind_it(nifti, ramp):
    scan = read_scan(nifti(ramp, vox_offset=0))
    assert np.array_equal(scan.values, ramp)
    assert any("vox_offset is 0" in note for note in scan.notes)


def test_negative_voxel_sizes_are_said(nifti, ramp):
    scan = read_scan(nifti(ramp, pixdim=[1, -2, 3, 4, 1, 1, 1, 1]))
    assert scan.spacing == (2, 3, 4)
    assert any("negative" in note for note in scan.notes)


def test_a_single_slice_may_have_no_depth(nifti, ramp):
    path = nifti(ramp[:, :, :1], sform_code=0, qform_code=0, pixdim=[1, 2, 3, 0, 0, 0, 0, 0])
    assert read_scan(path).spacing == (2, 3, 1)


def test_voxel_sizes_that_disagree_with_the_sform_are_said(nifti, ramp):
    scan = read_scan(nifti(ramp, pixdim=[1, 1, 1, 1, 0, 0, 0, 0]))
    assert scan.spacing == (2, 3, 4)
    assert any("pixdim says voxels of 1, 1, 1, the sform of 2, 3, 4" in n for n in scan.notes)


def test_forms_that_disagree_are_said_and_the_sform_is_used(nifti, ramp):
    def disagree(header):
        header.set_sform(AFFINES["RAS"], 2)
        header.set_qform(np.diag([-2.0, 3.0, 4.0, 1.0]), 1)

    scan = read_scan(nifti(ramp, change=disagree))
    assert np.array_equal(scan.values, ramp)
    assert any("mirror each other" in note for note in scan.notes)


def test_forms_that_disagree_by_rounding_are_not_worth_a_word(nifti, ramp):
    def nearly(header):
        header.set_sform(AFFINES["RAS"] + 1e-4 * np.eye(4), 1)
        header.set_qform(AFFINES["RAS"], 1)

    assert read_scan(nifti(ramp, change=nearly)).notes == ()


def test_an_sform_of_zeros_gives_way_to_the_qform(nifti, ramp):
    def broken(header):
        header.set_qform(AFFINES["LPI"], 1)

    zeros = {f"srow_{axis}": [0, 0, 0, 0] for axis in "xyz"}
    scan = read_scan(nifti(ramp, change=broken, sform_code=1, **zeros))
    assert np.array_equal(scan.values, ramp[::-1, ::-1, ::-1])
    assert any("its sform has code 1 and cannot be used" in note for note in scan.notes)


def test_a_quaternion_that_is_none_is_said(nifti, ramp):
    path = nifti(ramp, sform_code=0, qform_code=1, quatern_b=3, quatern_c=3, quatern_d=3)
    notes = " ".join(read_scan(path).notes)
    assert "its qform has code 1 and cannot be used" in notes
    assert "orientation unknown" in notes


@pytest.mark.parametrize(("unit", "factor"), [(1, 1000), (3, 0.001)])
def test_other_units_become_millimetres(nifti, ramp, unit, factor):
    scan = read_scan(nifti(ramp, xyzt_units=unit))
    np.testing.assert_allclose(scan.spacing, np.array([2, 3, 4]) * factor)
    assert any("turned into millimetres" in note for note in scan.notes)


def test_a_sheared_affine_is_kept_and_said(nifti, ramp):
    affine = AFFINES["RAS"].copy()
    affine[1, 2] = 1.0
    scan = read_scan(nifti(ramp, affine, qform_code=0))
    np.testing.assert_allclose(scan.affine, affine)
    assert any("sheared" in note for note in scan.notes)


@pytest.mark.parametrize("given", ["scan.hdr", "scan.img"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_pair_is_read_by_either_name_or_by_its_folder(tmp_path, ramp, given, suffix):
    folder = tmp_path / "pair"
    folder.mkdir()
    nibabel.Nifti1Pair(ramp, AFFINES["LPI"]).to_filename(folder / "scan.img")
    if suffix:
        for path in list(folder.iterdir()):
            with gzip.open(f"{path}.gz", "wb") as stream:
                stream.write(path.read_bytes())
            path.unlink()
    for path in (folder / (given + suffix), folder):
        assert np.array_equal(read_scan(path).values, ramp[::-1, ::-1, ::-1])


def test_half_a_pair_is_refused(tmp_path, ramp):
    nibabel.Nifti1Pair(ramp, np.eye(4)).to_filename(tmp_path / "scan.img")
    (tmp_path / "scan.img").unlink()
    with pytest.raises(DataError, match=r"scan\.hdr: is the header of a pair"):
        read_scan(tmp_path / "scan.hdr")


def test_an_analyze_file_does_not_tell_left_from_right(tmp_path, ramp):
    nibabel.AnalyzeImage(ramp, np.eye(4)).to_filename(tmp_path / "scan.img")
    with pytest.raises(DataError, match="does not tell left from right"):
        read_scan(tmp_path / "scan.hdr")


def test_the_content_decides_not_the_name(nifti, ramp, tmp_path):
    plain = nifti(ramp)
    packed = tmp_path / "packed.nii"
    with gzip.open(packed, "wb") as stream:
        stream.write(plain.read_bytes())
    named = tmp_path / "plain.nii.gz"
    shutil.copy(plain, named)
    for path, words in ((packed, "is gzipped"), (named, "is not gzipped")):
        scan = read_scan(path)
        assert np.array_equal(scan.values, ramp)
        assert any(words in note for note in scan.notes)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_a_truncated_file_is_refused(nifti, name, share):
    volume = np.random.default_rng(0).integers(0, 99, (20, 20, 20)).astype(np.int16)
    path = nifti(volume, name=name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=str(path)):
        read_scan(path)


def test_a_flipped_bit_in_a_gzip_is_found_by_its_checksum(nifti):
    volume = np.random.default_rng(0).integers(0, 99, (20, 20, 20)).astype(np.int16)
    path = nifti(volume, name="scan.nii.gz")
    content = bytearray(path.read_bytes())
    for place in range(400, len(content) - 8, 997):
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(DataError, match=str(path)):
            read_scan(path)
        content[place] ^= 4


def test_bytes_behind_the_image_are_said(nifti, ramp):
    path = nifti(ramp)
    path.write_bytes(path.read_bytes() + b"more")
    assert "4 bytes follow the image and were not used" in read_scan(path).notes


def test_a_small_gzip_cannot_ask_for_a_large_volume(nifti, ramp):
    path = nifti(ramp, dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])
    packed = path.with_suffix(".nii.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match="cannot hold them"):
        read_scan(packed)


def test_a_volume_of_many_is_chosen_and_a_fourth_axis_of_one_is_none(nifti, ramp):
    several = np.stack([ramp, ramp + 1, ramp + 2], axis=-1)
    path = nifti(several, name="several.nii")
    assert np.array_equal(read_scan(path, volume=1).values, ramp + 1)
    assert "volume 1 of 3" in read_scan(path, volume=1).notes
    with pytest.raises(DataError, match="there is no volume 3"):
        read_scan(path, volume=3)
    single = nifti(ramp[..., None], name="single.nii")
    assert np.array_equal(read_scan(single).values, ramp)


def test_a_header_extension_is_passed_over(tmp_path, ramp):
    image = nibabel.Nifti1Image(ramp, AFFINES["RAS"])
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 1000))
    image.to_filename(tmp_path / "scan.nii")
    assert np.array_equal(read_scan(tmp_path / "scan.nii").values, ramp)


def test_a_folder_of_several_files_is_asked_about(nifti, ramp, tmp_path):
    nifti(ramp, name="a.nii")
    nifti(ramp, name="b.nii.gz")
    with pytest.raises(DataError, match=r"holds 2 NIfTI files.*a\.nii, b\.nii\.gz"):
        read_scan(tmp_path)


def test_blank_scans_and_numbers_that_are_none_are_said(nifti):
    array = np.ones((3, 3, 3), np.float32)
    assert read_scan(nifti(array)).notes == ("blank: every voxel is 1",)
    array[0, 0, 0], array[1, 0, 0] = np.nan, np.inf
    assert "2 of 27 voxels are NaN or infinite" in read_scan(nifti(array)).notes


@pytest.mark.parametrize(
    ("side", "words"), [(0, ""), (7, "pixdim[0] is 7"), (-3, "pixdim[0] is -3")]
)
def test_a_qform_counts_whatever_stands_for_its_third_axis(nifti, ramp, side, words):
    affine = np.diag([2.0, 3.0, -4.0 if side < 0 else 4.0, 1.0])
    sizes = [side, 2, 3, 4, 0, 0, 0, 0]
    path = nifti(ramp, affine, change=lambda h: h.set_qform(affine, 1), sform_code=0, pixdim=sizes)
    scan = read_scan(path)
    assert np.array_equal(scan.values, ramp[:, :, :: -1 if side < 0 else 1])
    assert [words in note for note in scan.notes] == [True] * bool(words)


@pytest.mark.parametrize("place", [(0, 1), (1, 2), (0, 2)])
def test_any_axes_that_are_not_at_right_angles_are_said(nifti, ramp, place):
    affine = AFFINES["RAS"].copy()
    affine[place] = 1.0
    assert any("sheared" in note for note in read_scan(nifti(ramp, affine, qform_code=0)).notes)


def test_the_image_of_a_pair_without_its_header_is_told(tmp_path, ramp):
    import nibabel

    nibabel.save(nibabel.Nifti1Pair(ramp, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / "scan.hdr").unlink()
    for path in (tmp_path / "scan.img", tmp_path):
        with pytest.raises(DataError, match=r"no header \(\.hdr\) of the same name is beside it"):
            read_scan(path)
