"""What people get wrong in a table of scans, or in what it names: told at once, with the remedy."""

from __future__ import annotations

import os
import shutil
import types

import nibabel
import numpy as np
import pytest
from PIL import Image

from medpipe_core.data import DataError
from medpipe_plugins.datasets.folder import FolderDataset
from medpipe_plugins.datasets.folder_manifest import read_cases

CLASSES = ("healthy", "sick")
STEPS = [{"name": "normalise"}, {"name": "resize", "parameters": {"size": 4}}]
NAMES = tuple(f"{number:02}.npy" for number in range(12))


@pytest.fixture
def scans(tmp_path):
    """Return a folder with scans."""
    for number, name in enumerate(NAMES):
        np.save(tmp_path / name, np.random.default_rng(number).random((4, 5, 6), np.float32))
    return tmp_path


def rows(label=lambda n: CLASSES[n % 2], name=lambda n: NAMES[n]):
    return "".join(f"{name(n)},{label(n)}\n" for n in range(len(NAMES)))


@pytest.fixture
def opened(scans):
    """Return a function that writes a manifest, text or bytes, and opens the set."""

    def open_set(content, **settings):
        content = content.encode() if isinstance(content, str) else content
        (scans / "scans.csv").write_bytes(content)
        return FolderDataset(manifest=str(scans / "scans.csv"), prepare=STEPS, **settings)

    return open_set


def error_of(dataset):
    with pytest.raises(DataError) as caught:
        dataset.development()
    return str(caught.value)


GOOD = "path,label\n" + rows()


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        "\ufeff" + GOOD.replace(",", ";").replace("\n", "\r\n"),
        GOOD.replace(",", "\t"),
        " Path , LABEL \n" + rows(),
        "File,Class\n" + rows(),
        GOOD + "\n,\n",
        GOOD + rows(),
    ],
    ids=["Windows", "BOM", "Excel", "tabs", "capitals", "synonyms", "empty lines", "doubles"],
)
def test_tables_as_programs_write_them_are_read_alike(opened, content):
    counts = opened(content).card.notes[0]
    assert counts == opened(GOOD).card.notes[0]
    assert len(read_cases(str(opened(content).settings.manifest), None)) >= len(NAMES)


def test_paths_may_be_absolute_or_relative_to_the_table_or_a_root(opened, scans, tmp_path):
    absolute = "path,label\n" + rows(name=lambda n: scans / NAMES[n])
    assert opened(absolute).card.notes == opened(GOOD).card.notes
    elsewhere = tmp_path / "tables"
    elsewhere.mkdir()
    (elsewhere / "scans.csv").write_text(GOOD)
    there = {"manifest": str(elsewhere / "scans.csv"), "prepare": STEPS}
    assert len(FolderDataset(**there, root=str(scans)).development().train)
    told = error_of(FolderDataset(**there))
    assert "relative to data.root, or to itself" in told
    assert "00.npy: there is no such file or folder" in told


def test_columns_that_are_not_found_are_told_with_what_would_do(opened):
    told = error_of(opened("filepath,labels\n" + rows()))
    assert "one column 'path' ('file' or 'filename' or 'image' will do)" in told
    assert "its columns are filepath, labels" in told
    told = error_of(opened("path,labels\n" + rows()))
    assert "one column 'label'" in told
    assert "labels" in told
    assert "The first line has the names of the columns" in error_of(opened(rows()))


def test_all_lines_that_cannot_be_understood_are_told_at_once(opened):
    text = "path,label,split\n00.npy,sick,train\n01.npy,sick\n,sick,test\n03.npy,sick,trian\n"
    told = error_of(opened(text))
    assert "line 3: 2 fields for 3 columns" in told
    assert "line 4: '' is no path" in told
    assert "line 5: there is no split 'trian'. Did you mean 'train'?" in told
    assert "and 5 more" in error_of(opened("path,label\n" + "a\n" * 25))


@pytest.mark.parametrize(
    ("one", "other"), [("Sick", "sick"), ("not sick", "not-sick"), ("not_sick", "Not  sick")]
)
def test_a_label_that_is_spelt_in_two_ways_is_asked_about(opened, one, other):
    spelt = (one, "healthy", other, "healthy")
    told = error_of(opened("path,label\n" + rows(label=lambda n: spelt[n % 4])))
    assert f"{one!r} (such as 00.npy), {other!r} (such as 02.npy); spell them alike" in told


@pytest.mark.parametrize("classes", [("-1", "0", "1"), ("HER2+", "HER2-", "HER2"), ("1-2", "12")])
def test_labels_that_differ_in_a_sign_that_means_something_are_classes(opened, classes):
    found = opened("path,label\n" + rows(label=lambda n: classes[n % len(classes)])).card.classes
    assert sorted(found) == sorted(classes)


def test_a_table_in_another_encoding_is_answered_with_how_to_save_it(opened):
    told = error_of(opened(("path,label\n" + rows(label=lambda n: "gesünder")).encode("latin-1")))
    assert "no text in UTF-8; save it as such (in Excel: 'CSV UTF-8')" in told
    assert "no text in UTF-8" in error_of(opened(GOOD.encode("utf-16")))


def test_backslashes_are_answered_with_slashes(opened):
    if os.sep == "\\":
        pytest.skip("here they stand between folders")
    told = error_of(opened("path,label\n" + rows(name=lambda n: f"ct\\{NAMES[n]}")))
    assert "'/' does everywhere" in told


def test_patients_that_are_partly_missing_are_noted(opened):
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},{'P1' if n < 2 else ''}" for n in range(len(NAMES))]
    notes = opened("\n".join(["path,label,patient", *lines])).development().notes
    assert any("10 scans without a patient count as a patient each" in note for note in notes)


def test_a_picture_in_colour_is_named_and_left_out(opened, scans):
    colours = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    (scans / "slices").mkdir()
    for number in range(4):
        Image.fromarray(colours).save(scans / "slices" / f"{number}.png")
    dataset = opened(GOOD + "slices,sick\n", seed=1)
    parts = dataset._survey.cases
    if not any(case.name == "slices" for case in parts["test"]):
        told = " ".join(dataset.development().notes)
        assert "slices" in told
        assert "is in colour" in told


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="whoever is root may read everything"
)
def test_a_file_that_may_not_be_read_is_named(opened, scans):
    (scans / "00.npy").chmod(0)
    told = " ".join(opened(GOOD).development().notes)
    assert "00.npy: cannot be opened" in told


def test_a_file_that_the_system_does_not_open_is_named(opened, scans, monkeypatch):
    import pathlib

    plain = pathlib.Path.open

    def refusing(self, *arguments, **words):
        if self.name == "00.npy":
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *arguments, **words)

    monkeypatch.setattr(pathlib.Path, "open", refusing)
    told = " ".join(opened(GOOD).development().notes)
    assert "1 scans were left out" in told
    assert "Permission denied" in told


def test_modalities_that_are_mixed_are_noted(scans, registry_of_modalities):
    (scans / "scans.csv").write_text(GOOD)
    dataset = FolderDataset(
        manifest=str(scans / "scans.csv"), prepare=STEPS, registry=registry_of_modalities
    )
    assert any("Modalities are mixed: 9 CT, 3 MR" in note for note in dataset.development().notes)


@pytest.fixture
def registry_of_modalities():
    """Return a registry with a reader that tells modalities."""
    from medpipe_core import load_plugins

    class Reader:
        def reads(self, path):
            return path.suffix == ".npy"

        def header(self, path, *, series=None, volume=None):
            modality = "MR" if path.name in NAMES[:3] else "CT"
            return types.SimpleNamespace(shape=(4, 5, 6), dtype="float32", modality=modality)

        def read(self, path, *, series=None, volume=None):
            return types.SimpleNamespace(values=np.load(path), modality="CT")

    registry = load_plugins()
    modalities = {name: registry.create("reader", name) for name in registry.names("reader")}
    modalities["numpy"] = Reader()

    class With:
        def names(self, kind):
            return registry.names(kind)

        def create(self, kind, name, *arguments, **words):
            if kind == "reader":
                return modalities[name]
            return registry.create(kind, name, *arguments, **words)

        def entry(self, kind, name):
            return registry.entry(kind, name)

    return With()


@pytest.mark.parametrize("column", ["Patient ID", "patient_id", "subject", "participant_id"])
def test_patients_are_kept_together_whatever_programs_call_the_column(opened, column):
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},p{n // 2}" for n in range(len(NAMES))]
    found = opened("\n".join([f"path,label,{column}", *lines])).development()
    assert set(found.train.groups) <= {f"p{n}" for n in range(6)}
    assert not set(found.train.groups) & set(found.validation.groups)


@pytest.mark.parametrize("column", ["subset", "Partition", "set"])
def test_a_split_is_kept_whatever_programs_call_the_column(opened, column):
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},{('train', 'val', 'test')[n // 4]}" for n in range(12)]
    dataset = opened("\n".join([f"path,label,{column}", *lines]))
    assert dataset.card.notes[0] == "Scans: 4 train, 4 validation, 4 test."


def test_columns_that_are_not_read_are_named(opened):
    lines = [f"{n},{NAMES[n]},{CLASSES[n % 2]},p{n // 2},50" for n in range(len(NAMES))]
    notes = opened("\n".join([",path,label,pid,Age", *lines])).development().notes
    assert "Columns that are not read: pid, age." in notes


@pytest.mark.parametrize("word", ["NA", "nan", "N/A"])
def test_what_programs_write_for_a_missing_value_is_no_class_and_no_patient(opened, word):
    labels = (*CLASSES, word)
    notes = opened("path,label\n" + rows(label=lambda n: labels[n % 3])).development().notes
    assert any(f"{word!r} stands for none" in note for note in notes)
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},{'P1' if n < 2 else word}" for n in range(len(NAMES))]
    notes = opened("\n".join(["path,label,patient", *lines])).development().notes
    assert any("10 scans without a patient count as a patient each" in note for note in notes)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0"), ("1", "01"), ("gesu\u0308nd", "ges\u00fcnd")]
)
def test_a_label_that_is_written_in_two_ways_is_asked_about(opened, one, other):
    spelt = (one, "healthy", other, "healthy")
    told = error_of(opened("path,label\n" + rows(label=lambda n: spelt[n % 4])))
    assert "are meant as one" in told


@pytest.mark.parametrize("again", ["../{folder}/03.npy", "link.npy"])
def test_a_scan_of_two_names_is_one_scan(opened, scans, again):
    os.symlink(scans / "03.npy", scans / "link.npy")
    again = again.format(folder=scans.name)
    notes = opened(GOOD + f"{again},{CLASSES[1]}\n").development().notes
    assert "1 lines name a scan again, which counts once." in notes
    assert "is named twice" in error_of(opened(GOOD + f"{again},{CLASSES[0]}\n"))


def test_classes_that_cannot_be_told_apart_or_judged_are_told(opened):
    told = error_of(opened("path,label\n" + rows(label=lambda n: "sick")))
    assert "all scans are of one class, 'sick'" in told
    rare = opened("path,label\n" + rows(label=lambda n: "rare" if n == 5 else CLASSES[n % 2]))
    notes = rare.development().notes
    assert sum("No usable scan in" in note and "'rare'" in note for note in notes) == 2


def test_a_set_of_two_scans_is_too_small(opened):
    told = error_of(opened("path,label\n00.npy,sick\n01.npy,healthy\n"))
    assert "2 scans of 2 patients are too few" in told


def test_a_fold_that_is_not_there_is_refused(opened):
    with pytest.raises(ValueError, match="5 folds are counted from 0 to 4"):
        opened(GOOD, fold=5)


@pytest.mark.parametrize("address", ["https://example.org/a.nii", "s3://bucket/a.nii"])
def test_an_address_is_answered_with_nothing_is_fetched(opened, address):
    notes = opened(GOOD + f"{address},sick\n", seed=1).development().notes
    assert any("this is an address; nothing is fetched" in note for note in notes)


@pytest.mark.parametrize("suffixes", [("hdr", "img"), ("hdr.gz", "img.gz"), ("HDR", "IMG")])
def test_a_pair_in_a_folder_of_a_class_is_one_scan(tmp_path, suffixes):
    for label in CLASSES:
        (tmp_path / label).mkdir()
        for suffix in suffixes:
            (tmp_path / label / f"a.{suffix}").write_bytes(b"0")
    cases = read_cases(None, str(tmp_path))
    assert [case.name for case in cases] == [f"{label}/a.{suffixes[0]}" for label in CLASSES]


def test_texts_beside_scans_are_no_scans(tmp_path):
    for label in CLASSES:
        (tmp_path / label / "slices.json").mkdir(parents=True)
        for name in ("a.npy", "a.json", "Thumbs.db", "desktop.ini", "README.TXT", ".DS_Store"):
            (tmp_path / label / name).write_bytes(b"0")
    names = [case.name for case in read_cases(None, str(tmp_path))]
    assert names == [f"{label}/{name}" for label in CLASSES for name in ("a.npy", "slices.json")]


def test_folders_that_are_parts_and_something_else_are_asked_about(tmp_path):
    for name in ("train", "val", "test", "extra"):
        (tmp_path / name / "sick").mkdir(parents=True)
        (tmp_path / name / "sick" / "a.npy").write_bytes(b"0")
    with pytest.raises(DataError, match="beside them extra; folders are either parts or classes"):
        read_cases(None, str(tmp_path))


def test_both_halves_of_a_pair_are_one_scan(opened, scans):
    pair = nibabel.Nifti1Pair(np.random.default_rng(0).random((4, 5, 6), np.float32), np.eye(4))
    nibabel.save(pair, scans / "pair.img")
    notes = opened(GOOD + "pair.hdr,sick\npair.img,sick\n").development().notes
    assert "1 lines name a scan again, which counts once." in notes


def test_a_scan_of_two_patients_is_refused(opened):
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},p{n}" for n in range(len(NAMES))]
    told = error_of(opened("\n".join(["path,label,patient", *lines, f"{NAMES[0]},healthy,q"])))
    assert "named twice: as 'healthy' of patient 'p0' and as 'healthy' of patient 'q'" in told


def test_a_copy_counts_once(opened, scans):
    shutil.copy(scans / "03.npy", scans / "copy.npy")
    found = opened(GOOD + f"copy.npy,{CLASSES[1]}\n")
    assert any("copy.npy of 03.npy" in note for note in found.development().notes)
    assert found.card.notes[0] == opened(GOOD).card.notes[0]


def test_copies_of_two_classes_are_left_out(opened, scans):
    shutil.copy(scans / "03.npy", scans / "copy.npy")
    lines = GOOD + f"copy.npy,{CLASSES[0]}\n"
    (told,) = [note for note in opened(lines).development().notes if "left out" in note]
    assert "2 scans were left out" in told
    assert "is copy.npy, byte for byte, and is 'sick' where that is 'healthy'" in told
    assert "2 scans cannot be used" in error_of(opened(lines, strict=True))


def test_a_copy_in_another_part_leaves_the_test_set_as_it_is(opened, scans):
    shutil.copy(scans / "00.npy", scans / "copy.npy")
    parts = ("train", "val", "test")
    lines = [f"{NAMES[n]},{CLASSES[n % 2]},{parts[n // 4]}" for n in range(12)]
    found = opened("\n".join(["path,label,split", *lines, f"copy.npy,{CLASSES[0]},test"]))
    assert found.card.notes[0] == "Scans: 3 train, 4 validation, 5 test."
    told = " ".join(found.development().notes)
    assert "is copy.npy, byte for byte, which is in test" in told
    assert "copy.npy" in found.sealed_test().open(after="this test").cases


def test_copies_of_folders_are_found_and_scans_that_differ_in_a_byte_are_not(opened, scans):
    for folder, last in (("a", 1), ("b", 1), ("c", 2)):
        (scans / folder).mkdir()
        for number in range(4):
            grey = np.full((5, 6), 40 * number, np.uint8)
            grey[-1, -1] = last
            Image.fromarray(grey).save(scans / folder / f"{number}.tif")
    extra = "".join(f"{folder},sick\n" for folder in "abc")
    (told,) = [n for n in opened(GOOD + extra).development().notes if "byte for byte" in n]
    assert told == "1 scans are copies, byte for byte, which count once: b of a."


def test_a_set_of_nothing_but_contradicting_copies_is_told(opened, scans):
    shutil.copy(scans / "00.npy", scans / "copy.npy")
    told = error_of(opened("path,label\n00.npy,sick\ncopy.npy,healthy\n"))
    assert "no usable scan is left" in told
    assert "is copy.npy, byte for byte" in told
