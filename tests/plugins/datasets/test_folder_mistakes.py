"""What people get wrong in a table of scans, or in what it names: told at once, with the remedy."""

from __future__ import annotations

import os
import types

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
