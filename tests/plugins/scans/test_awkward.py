"""Scans as they really come: what independent tools say of each is what is read."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

import numpy as np
import pytest

from medpipe_core.data import DataError
from medpipe_plugins.scans import read_scan, scan_header

FOLDER = (
    pathlib.Path(
        os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
    )
    / "awkward"
)
TRUTH = FOLDER / "truth.json"
CASES = json.loads(TRUTH.read_text()) if TRUTH.is_file() else {}

pytestmark = pytest.mark.skipif(
    not CASES, reason="awkward/truth.json is not there; name its folder in MEDPIPE_DATA"
)


def expecting(*kinds):
    return pytest.mark.parametrize(
        "case", [name for name, case in CASES.items() if case["expect"] in kinds]
    )


def check(scan, volume):
    """Compare a scan with what is known of it."""
    shape = tuple(volume["shape_canonical"])
    assert scan.values.shape == shape[:3]
    assert scan.values.dtype == np.float32
    np.testing.assert_allclose(scan.affine, volume["affine_canonical"], atol=2e-5)
    np.testing.assert_allclose(scan.spacing, volume["spacing_canonical"], atol=2e-5)
    if len(shape) > 3:
        return
    finite = scan.values[np.isfinite(scan.values)].astype(np.float64)
    assert scan.values.size - finite.size == volume["n_nonfinite"]
    found = finite.min(), finite.max(), finite.mean(), finite.std()
    known = [volume[name] for name in ("min", "max", "mean", "std")]
    np.testing.assert_allclose(found, known, rtol=1e-5)
    for probe in volume["probes"]:
        np.testing.assert_allclose(
            scan.values[tuple(probe["ijk"])], number(probe["value"]), rtol=1e-6
        )
        place = scan.affine @ [*probe["ijk"], 1]
        np.testing.assert_allclose(place[:3], probe["ras"], atol=2e-3)
    whole = np.array_equal(finite, np.round(finite))
    if whole:  # float32 holds these exactly
        assert digest(scan.values) == volume["sha256_canonical_f8"]


def number(value):
    return float(value) if isinstance(value, str) else value


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, "<f8")).hexdigest()


def check_stack(scan, known):
    """Compare slices that have no geometry with what is known of them."""
    assert scan.affine is None
    assert scan.values.shape == tuple(known["shape"])
    assert digest(scan.values) == known["sha256_f8"]
    for probe in known["probes"]:
        assert scan.values[tuple(probe["zyx"])] == probe["value"]


def volumes(case):
    """Yield each volume that a case describes, with the path that holds it."""
    for group in CASES[case].get("groups", []):
        if "volume" in group:
            yield FOLDER / case, group["volume"]
    for name, known in CASES[case].get("files", {}).items():
        if "volume" in known:
            yield FOLDER / case / name, known["volume"]


@expecting("volume")
def test_a_volume_is_read_as_independent_tools_read_it(case):
    found = 0
    for path, volume in volumes(case):
        scan = read_scan(path)
        check(scan, volume)
        assert scan_header(path).shape == scan.values.shape
        found += 1
    if "array_zyx" in CASES[case]:
        check_stack(read_scan(FOLDER / case), CASES[case]["array_zyx"])
        found += 1
    assert found == 1


@expecting("each")
def test_each_file_of_a_folder_is_a_volume_and_the_folder_is_asked_about(case):
    files = sorted((FOLDER / case).iterdir())
    known = CASES[case].get("files", {})
    for path in files:
        scan = read_scan(path)
        facts = known.get(path.name, {})
        if "volume" in facts:
            check(scan, facts["volume"])
        elif "sha256_f8_rows_cols" in facts:
            assert digest(one_slice(scan)) == facts["sha256_f8_rows_cols"]
        else:
            array = scan.values + (1024 if path.stem == "f16" else 0)
            assert digest(array) == CASES[case]["array_zyx"]["sha256_f8"]
    if case != "dcm_one_slice_seven_codings":  # those are one slice, eight times
        with pytest.raises(DataError) as caught:
            read_scan(FOLDER / case)
        assert all(path.name in str(caught.value) for path in files)


def one_slice(scan):
    """Return the one axial slice of a scan as rows from the front and columns from the right."""
    assert scan.values.shape[2] == 1
    return scan.values[::-1, ::-1, 0].T


def test_the_same_slice_in_eight_codings_is_one_slice(data):
    scan = read_scan(data("awkward/dcm_one_slice_seven_codings"))
    assert scan.values.shape == (64, 64, 1)
    assert any("are there twice" in note for note in scan.notes)


@expecting("choose")
def test_several_series_are_asked_about_and_each_can_be_named(case):
    with pytest.raises(DataError) as caught:
        read_scan(FOLDER / case)
    groups = CASES[case]["groups"]
    assert f"holds {len(groups)} series" in str(caught.value)
    assert groups[0]["series_uid"] in str(caught.value)
    uids = [group["series_uid"] for group in groups]
    for group in groups:
        uid, volume = group["series_uid"], group.get("volume")
        if uids.count(uid) > 1:
            with pytest.raises(DataError, match="name one as it is listed here"):
                read_scan(FOLDER / case, series=uid)
        elif volume is not None and group["uniform"]:
            check(read_scan(FOLDER / case, series=uid), volume)


@expecting("report")
def test_what_is_unusual_is_said_or_refused(case):
    files = CASES[case].get("files", {})
    paths = [FOLDER / case / name for name in files] or [FOLDER / case]
    for path in paths:
        try:
            scan = read_scan(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017 - it may be read, too
            continue
        assert scan.notes
        for where, volume in volumes(case):
            if where == path:
                check(scan, volume)
        for group in CASES[case].get("groups", []):
            if "values" in group:
                assert scan.affine is None
                assert scan.values.shape == tuple(group["values"]["shape"])
                np.testing.assert_allclose(scan.values.mean(), group["values"]["mean"], rtol=1e-5)
        if "array_zyx" in CASES[case]:
            check_stack(scan, CASES[case]["array_zyx"])


@expecting("refuse")
def test_what_cannot_be_read_is_refused_by_name(case):
    files = [path for path in (FOLDER / case).iterdir() if path.suffix != ".png"]
    for path in [FOLDER / case, *files]:
        with pytest.raises(DataError) as caught:
            read_scan(path)
        assert str(FOLDER / case) in str(caught.value)
        for file in files:
            assert file.name in str(caught.value)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("dcm_missing_slice_10mm", "10 mm between IM-0001-0009-0001.dcm and IM-0001-0010-0001"),
        ("dcm_gap_202mm", "202.5 mm between 17106 and 17136"),
        ("dcm_gantry_tilt_14deg", "sheared by 14.0 degrees"),
        ("dcm_same_position_four_times", "4 different slices lie at each of 1 places"),
        ("dcm_fmri_two_times", "2 different slices lie at each of 4 places"),
        ("dcm_rgb_slices", "colour"),
        ("dcm_enhanced_mr_small", "geometry unknown"),
        ("dcm_enhanced_mr_rle", "geometry unknown"),
        ("dcm_monochrome1", "MONOCHROME1"),
        ("dcm_no_preamble", "preamble"),
        ("dcm_siemens_mosaic", "mosaic"),
        ("dcm_12bit_high_bits_dirty", "mosaic"),
        ("dcm_float_pixel_data", "floating-point"),
        ("dcm_double_float_pixel_data", "floating-point"),
        ("dcm_rtdose_multiframe", "dose grid"),
        ("dcm_no_geometry_deflated", "geometry unknown"),
        ("dcm_duplicate_slice_identical", "IMG0004_copy.dcm"),
        ("dcm_non_images_in_folder", "rtstruct.dcm holds no image"),
        ("dcm_empty_and_junk_files", "empty.dcm is empty"),
        ("dcm_localizer_mixed", "localizer"),
        ("nii_4d", "2 volumes"),
        ("nii_nifti2_4d", "2 volumes"),
        ("nii_scl_slope", "20 volumes"),
        ("nii_5d", "3 volumes"),
        ("nii_rgb", "colours"),
        ("nii_rgba", "colours"),
        ("nii_complex64", "complex numbers"),
        ("nii_complex128", "complex numbers"),
        ("nii_2d", "two-dimensional"),
        ("nii_all_nan", "153 of 1071 voxels are NaN"),
        ("nii_cifti", "CIFTI"),
        ("nii_pair_4d_gz", "2 volumes"),
        ("nii_no_form_codes", "orientation unknown"),
        ("nii_pair_plain_no_codes", "orientation unknown"),
        ("nii_qform_sform_disagree", "mirror each other; the sform was used"),
        ("nii_scl_slope_zero", "as stored"),
        ("nii_scl_slope_nan", "as stored"),
        ("img_gap_in_numbers", "such as 3"),
        ("img_mixed_sizes", "0002.png"),
        ("npy_object", "never unpickled"),
    ],
)
def test_the_reason_is_said_in_words(case, words):
    try:
        said = " ".join(read_scan(FOLDER / case).notes)
    except DataError as error:
        said = str(error)
    assert words in said


@pytest.mark.parametrize(
    ("case", "count"),
    [
        ("nii_4d", 2),
        ("nii_nifti2_4d", 2),
        ("nii_scl_slope", 20),
        ("nii_pair_4d_gz", 2),
        ("dcm_fmri_two_times", 2),
        ("dcm_same_position_four_times", 4),
    ],
)
def test_of_several_volumes_each_can_be_had(case, count):
    path, known = next(volumes(case))
    scans = [read_scan(path, volume=k) for k in range(count)]
    assert all(scan.values.shape == tuple(known["shape_canonical"][:3]) for scan in scans)
    together = np.stack([scan.values for scan in scans], axis=-1)
    np.testing.assert_allclose(together.astype(np.float64).mean(), known["mean"], rtol=1e-6)
    for probe in known["probes"]:
        np.testing.assert_allclose(together[tuple(probe["ijk"])], probe["value"], rtol=1e-6)
    check(scans[0], known)
    with pytest.raises(DataError, match=f"there is no volume {count}"):
        read_scan(path, volume=count)


def test_an_enhanced_file_and_its_twin_of_slices_are_the_same_scan(data):
    folder = data("awkward/dcm_enhanced_ct_and_its_twin")
    with pytest.raises(DataError, match="2 series that are equally large"):
        read_scan(folder, series="largest")
    one = read_scan(folder / "mf.dcm")
    known = CASES["dcm_enhanced_ct_and_its_twin"]["groups"]
    check(one, known[1]["volume"])
    other = read_scan(folder, series=known[0]["series_uid"])
    assert np.array_equal(one.values, other.values)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-6)


def test_the_largest_series_is_none_of_the_localizers(data):
    scan = read_scan(data("awkward/dcm_localizer_mixed"), series="largest")
    check(scan, CASES["dcm_localizer_mixed"]["groups"][0]["volume"])
    assert read_scan(data("awkward/dcm_localizer_mixed"), series=5).header.series == (
        scan.header.series
    )


def test_one_uid_with_two_orientations_is_two_series(data):
    folder = data("awkward/dcm_two_orientations_one_series_uid")
    groups = CASES["dcm_two_orientations_one_series_uid"]["groups"]
    for number, group in zip((202, 501), groups, strict=True):
        check(read_scan(folder, series=number), group["volume"])


def test_a_dicomdir_stands_for_its_folder(data):
    folder = data("awkward/dcm_dicomdir_tree")
    with pytest.raises(DataError, match="holds 24 series"):
        read_scan(folder / "DICOMDIR")
    uid = "1.3.6.1.4.1.5962.1.1.0.0.0.1194734704.16302.0.6"
    assert read_scan(folder / "DICOMDIR", series=uid).values.shape == (16, 16, 5)
