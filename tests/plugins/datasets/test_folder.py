"""Scans of one's own: which there are, what is wrong with them, the split, and the sealed test."""

from __future__ import annotations

import json
import re
import types

import nibabel
import numpy as np
import pytest

from medpipe_core import load_plugins
from medpipe_core.data import DataError, check_development, prepared
from medpipe_core.execution.checked_dataset import CheckedDataset
from medpipe_core.testing import DatasetContract
from medpipe_plugins.datasets.folder import FolderDataset
from medpipe_plugins.datasets.folder_manifest import read_cases
from medpipe_plugins.scans import read_scan

RESIZE = [{"name": "resize", "parameters": {"size": 4}}]


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


def scan(number):
    return np.random.default_rng(number).random((5, 6, 7), np.float32)


def written(folder, count=20, **columns):
    """Write scans as npy and their manifest; `columns` are functions of a scan's number."""
    columns = {"label": lambda n: ("sick", "well")[n % 2], **columns}
    rows = []
    for number in range(count):
        np.save(folder / f"{number:02}.npy", scan(number))
        rows.append({"path": f"{number:02}.npy", **{k: f(number) for k, f in columns.items()}})
    return table(folder, rows)


def table(folder, rows):
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (folder / "scans.csv").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "scans.csv")


@pytest.fixture
def opened(registry):
    def open_folder(manifest=None, **settings):
        settings = {"prepare": RESIZE, **settings}
        return FolderDataset(registry=registry, manifest=manifest, **settings)

    return open_folder


class TestFolder(DatasetContract):
    dataset = FolderDataset

    @pytest.fixture(autouse=True)
    def _scans(self, tmp_path):
        self.settings = {"manifest": written(tmp_path), "prepare": RESIZE, "seed": 0}


def parts(dataset):
    development = dataset.development()
    test = dataset.sealed_test().open(after="a test")
    return {"train": development.train, "validation": development.validation, "test": test}


def test_scans_become_volumes_with_labels_and_names(tmp_path, opened, registry):
    dataset = opened(written(tmp_path))
    assert dataset.card.classes == ("sick", "well")
    assert (dataset.card.channels, dataset.card.size) == (1, (4, 4, 4))
    found = parts(dataset)
    assert {name: len(data) for name, data in found.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    names = [case for data in found.values() for case in data.cases]
    assert sorted(names) == [f"{number:02}.npy" for number in range(20)]
    for data in found.values():
        for volume, label, case in zip(data.volumes, data.labels, data.cases, strict=True):
            assert label == int(case[:2]) % 2
            chain = dataset.preparation()
            assert np.array_equal(volume, prepared(read_scan(tmp_path / case), chain, registry))
    assert check_development(dataset.development(), dataset.card) == ()


def test_the_split_keeps_classes_and_patients_together(tmp_path, opened):
    manifest = written(tmp_path, 40, patient=lambda n: f"P{n // 4}", label=lambda n: n // 4 % 2)
    dataset = opened(manifest)
    assert dataset.card.classes == ("0", "1")
    found = parts(dataset)
    assert {name: len(data) for name, data in found.items()} == {
        "train": 24,
        "validation": 8,
        "test": 8,
    }
    patients = [set(data.groups) for data in found.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 10
    assert all(set(data.labels) == {0, 1} for data in found.values())


def test_the_split_follows_from_the_seed_alone(tmp_path, opened):
    manifest = written(tmp_path)
    cases = [tuple(parts(opened(manifest, seed=seed))["test"].cases) for seed in (0, 0, 1)]
    assert cases[0] == cases[1] != cases[2]


def test_every_scan_is_tested_in_one_fold_with_its_patient(tmp_path, opened):
    manifest = written(tmp_path, 40, patient=lambda n: f"P{n // 4}", label=lambda n: n // 4 % 2)
    tested = []
    for fold in range(5):
        found = parts(opened(manifest, fold=fold, folds=5))
        patients = [set(data.groups) for data in found.values()]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 10
        assert {name: len(data) for name, data in found.items()} == {
            "train": 24,
            "validation": 8,
            "test": 8,
        }
        tested += found["test"].cases.tolist()
    assert sorted(tested) == [f"{number:02}.npy" for number in range(40)]


def test_scans_that_a_manifest_names_as_test_are_in_no_fold(tmp_path, opened):
    manifest = written(tmp_path, split=lambda n: "test" if n < 4 else "train")
    dataset = opened(manifest, fold=0, folds=2)
    assert sum(map(len, parts(dataset).values())) == 16
    assert any(note.startswith("4 scans that are named as test") for note in dataset._survey.notes)
    assert any("fold 0 of 2 (from 0) of all scans" in note for note in dataset.card.notes)


def test_classes_are_in_the_order_that_is_asked_for(tmp_path, opened):
    manifest = written(tmp_path)
    dataset = opened(manifest, classes=("well", "sick"))
    assert dataset.card.classes == ("well", "sick")
    train = dataset.development().train
    assert all(
        (int(c[:2]) % 2 == 0) == (k == 1) for c, k in zip(train.cases, train.labels, strict=True)
    )
    with pytest.raises(DataError, match="names sick, dead, but scans are of sick, well"):
        opened(manifest, classes=("sick", "dead")).development()


def test_a_split_that_is_given_is_kept(tmp_path, opened):
    names = ("train", "val", "TEST")
    found = parts(opened(written(tmp_path, 18, split=lambda n: names[n // 2 % 3])))
    assert [int(case[:2]) for case in found["validation"].cases] == [2, 3, 8, 9, 14, 15]
    assert [int(case[:2]) for case in found["test"].cases] == [4, 5, 10, 11, 16, 17]


def test_a_patient_in_two_parts_is_named(tmp_path, opened):
    manifest = written(
        tmp_path, 12, split=lambda n: ("train", "validation", "test")[n % 3], patient=lambda n: n
    )
    text = (tmp_path / "scans.csv").read_text().replace(",train,3", ",train,4")
    (tmp_path / "scans.csv").write_text(text)
    with pytest.raises(DataError, match=r"more than one part.*: 4 \(train, validation\)"):
        opened(manifest).development()


def test_everything_wrong_is_told_by_file_and_left_out_or_refused(tmp_path, opened):
    manifest = written(tmp_path)
    (tmp_path / "03.npy").unlink()
    (tmp_path / "05.npy").write_bytes(b"no scan")
    np.save(tmp_path / "07.npy", np.full((5, 6, 7), np.nan, np.float32))
    text = (tmp_path / "scans.csv").read_text().replace("09.npy,well", "09.npy,")
    (tmp_path / "scans.csv").write_text(text)
    split = {
        "validation": 0.2,
        "seed": next(s for s in range(9) if _is_training(opened, s, manifest)),
    }
    development = opened(manifest, **split).development()
    told = next(note for note in development.notes if "left out" in note)
    assert told.startswith("4 scans were left out")
    for name in ("03.npy", "05.npy", "07.npy", "09.npy"):
        assert f"\n  {name}  " in told
    assert "has no label" in told
    with pytest.raises(DataError, match=r"4 scans cannot be used") as caught:
        opened(manifest, strict=True, **split).development()
    assert all(f"\n  {name}  " in str(caught.value) for name in ("03.npy", "07.npy", "09.npy"))


def _is_training(opened, seed, manifest):
    dataset = opened(manifest, validation=0.2, seed=seed)
    return "07.npy" in [case.name for case in dataset._survey.cases["train"]]


def test_no_test_scan_is_read_before_the_seal_is_broken(tmp_path, opened, monkeypatch):
    from medpipe_plugins.datasets import folder_cases

    dataset = opened(written(tmp_path))
    read = []
    monkeypatch.setattr(
        folder_cases,
        "read_scan",
        lambda path, **asked: read.append(path.name) or read_scan(path, **asked),
    )
    development, sealed = dataset.development(), dataset.sealed_test()
    assert dataset.card.size == (4, 4, 4)
    assert set(read) == {*development.train.cases, *development.validation.cases}
    read.clear()
    assert read == []
    assert sorted(read_names(sealed, read)) == sorted(read)


def read_names(sealed, read):
    test = sealed.open(after="a test")
    assert len(read) == len(test) == 4
    return test.cases.tolist()


@pytest.mark.parametrize("strict", [False, True])
def test_a_test_scan_that_cannot_be_read_is_named_after_the_seal_is_broken(
    tmp_path, opened, strict
):
    dataset = CheckedDataset(opened(written(tmp_path), strict=strict), "mine")
    sealed = dataset.sealed_test()
    dataset.development()
    name = dataset.dataset._survey.cases["test"][0].name
    (tmp_path / name).unlink()
    told = rf"1 test scans (were left out|cannot be used).*\n  {name}"
    if strict:
        with pytest.raises(DataError, match=told):
            sealed.open(after="a test")
        return
    assert sealed.notes == ()
    assert len(sealed.open(after="a test")) == 3
    assert re.match(told, sealed.notes[0])


def test_bytes_are_what_the_chain_gives(tmp_path, opened, registry):
    dataset = opened(written(tmp_path), voxels="uint8")
    assert dataset.preparation()[-1] == {"name": "quantise", "parameters": {}}
    train = dataset.development().train
    assert train.volumes.dtype == np.uint8
    again = prepared(read_scan(tmp_path / train.cases[0]), dataset.preparation(), registry)
    assert np.array_equal(train.volumes[0] / np.float32(255), again)


def test_several_files_are_channels_of_one_grid(tmp_path, opened):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    for number in range(20):
        for kind in ("t1", "t2"):
            image = nibabel.Nifti1Image(scan(number) + (kind == "t2"), affine)
            nibabel.save(image, tmp_path / f"{number}_{kind}.nii.gz")
    rows = [
        {"path": [f"{n}_t1.nii.gz", f"{n}_t2.nii.gz"], "label": n % 2, "age": 40} for n in range(20)
    ]
    (tmp_path / "scans.json").write_text(json.dumps(rows))
    dataset = opened(str(tmp_path / "scans.json"), prepare="mr-brain", size=8)
    assert (dataset.card.channels, dataset.card.size) == (2, (8, 8, 8))
    assert "percentile-window" in dataset.card.notes[1]
    assert dataset.development().train.cases[0].count(";") == 1
    rows[3]["path"] = rows[3]["path"][0]
    (tmp_path / "scans.json").write_text(json.dumps(rows))
    notes = opened(str(tmp_path / "scans.json"), prepare="mr-brain", size=8).development().notes
    assert any("has 1 channels, and most scans have 2" in note for note in notes)


def test_folders_name_classes_and_parts(tmp_path):
    from PIL import Image

    for first, part in enumerate(("train", "val", "test")):
        for second, label in enumerate(("cat", "dog")):
            stack = tmp_path / part / label / "case1"
            stack.mkdir(parents=True)
            for number in range(3):
                grey = 40 * number + 10 * first + second
                Image.fromarray(np.full((4, 5), grey, np.uint8)).save(stack / f"{number}.png")
    cases = read_cases(None, str(tmp_path))
    assert {(c.label, c.part) for c in cases} == {
        (label, part) for label in ("cat", "dog") for part in ("train", "validation", "test")
    }
    dataset = FolderDataset(root=str(tmp_path), prepare=[{"name": "normalise"}])
    assert dataset.card.size == (3, 4, 5)
    assert len(dataset.development().train) == 2
    (found,) = {c.name for c in read_cases(None, str(tmp_path / "test")) if c.label == "dog"}
    assert found == "dog/case1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,diagnosis\na.npy,1\n", "one column 'label'"),
        ("path,label\n", "names no scan"),
        ("path,label\na.npy\n", "line 2: 1 fields for 2 columns"),
        ("path,label,split\na.npy,1,trian\n", "no split 'trian'.*'train'"),
        ('[{"path": "3", "label": true}]', "label is True"),
        ('[{"path": 3, "label": 1}]', "3 is no path"),
        ('[{"path": []}]', "'label'"),
        ('{"path": "a.npy", "label": 1}\n{"path": "b.npy", "label": 0}', "cannot be read as JSON"),
        ("path,label\na.npy;a.npy,1\n", "names a file twice"),
        ("path,label\na.npy,1\npath,label\nb.npy,0\n", "line 3: names the columns again"),
        ("path,label,subject,Patient ID\na.npy,1,x,y\n", "one column 'patient'.* and has 2"),
        ("[", "cannot be read as JSON"),
        ("path,label\na.npy,1\na.npy,2\n", "named twice: as '1' and as '2'"),
        ("path,label,split\na.npy,1,train\nb.npy,0,\n", "have no split"),
    ],
)
def test_a_manifest_that_cannot_be_understood_says_where(tmp_path, opened, text, told):
    (tmp_path / "scans.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        opened(str(tmp_path / "scans.csv")).development()


def test_scans_beyond_the_unit_range_are_answered_with_what_to_do(tmp_path, opened):
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", 1000 * scan(number))
    manifest = table(tmp_path, [{"path": f"{n}.npy", "label": n % 2} for n in range(4)])
    with pytest.raises(DataError, match=r"dataset.prepare says"):
        _ = opened(manifest, prepare="none").card


def test_what_does_not_fit_is_refused_before_memory_is_taken(tmp_path, opened, monkeypatch):
    monkeypatch.setattr("medpipe_core.memory.free_memory", lambda device: 1000)
    with pytest.raises(DataError, match=r"GiB are free; let them wait on the disk"):
        opened(written(tmp_path)).development()


def test_without_a_place_it_says_how_to_name_one(opened):
    with pytest.raises(DataError, match=r"data.manifest=FILE"):
        _ = opened().card


def test_what_files_say_of_scans_are_facts(tmp_path, opened):
    dataset = opened(written(tmp_path))
    train = dataset.development().train
    assert set(train.facts["slices"]) == {5}
    assert set(train.facts["columns"]) == {7}
    assert set(train.facts["files"]) == {1}
    assert set(train.facts["bytes"]) == {(tmp_path / "00.npy").stat().st_size}
    assert set(train.facts["stored type"]) == {"float32"}
    assert np.isnan(train.facts["slice distance (mm)"]).all()
    for number in range(20):
        image = nibabel.Nifti1Image(scan(number), np.diag([2.0, 2.0, 1.0 + number, 1.0]))
        nibabel.save(image, tmp_path / f"{number:02}.nii")
    rows = [{"path": f"{n:02}.nii", "label": n % 2} for n in range(20)]
    train = opened(table(tmp_path, rows)).development().train
    assert set(train.facts["slices"]) == {7}
    assert set(train.facts["pixel size (mm)"]) == {2}
    numbers = [1.0 + int(case[:2]) for case in train.cases]
    assert train.facts["slice distance (mm)"].tolist() == numbers


class LetterReader:
    """Reads files that begin with a patient's letter, of a format that only it knows."""

    def reads(self, path):
        return path.suffix == ".letter" and path.is_file()

    def header(self, path, *, series=None, volume=None):
        return types.SimpleNamespace(shape=(1, 2, 3), patient=path.read_text()[0])

    def read(self, path, *, series=None, volume=None):
        seed = int(path.stem)
        return types.SimpleNamespace(values=scan(seed)[:1, :2, :3], affine=None, notes=("odd",))


def test_any_registered_reader_counts_and_patients_of_headers_are_kept_together(tmp_path, registry):
    for number in range(24):
        (tmp_path / f"{number}.letter").write_text("abcdefghijkl"[number // 2] + str(number))
    manifest = table(tmp_path, [{"path": f"{n}.letter", "label": n // 2 % 2} for n in range(24)])
    known = registry.adding("reader", "letter", LetterReader)
    dataset = FolderDataset(registry=known, manifest=manifest)
    development = dataset.development()
    assert "Patients are those of the files' headers: 12 of 24 scans." in development.notes
    assert any(note.endswith("scans: odd") for note in development.notes)
    patients = [set(data.groups) for data in parts(dataset).values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 12


def test_slices_are_drawn_in_training_alone(tmp_path, opened, registry):
    steps = [{"name": "slices", "parameters": {"count": 3}, "training": {"how": "random"}}]
    dataset = opened(written(tmp_path), prepare=steps)
    for name, data in parts(dataset).items():
        for volume, case in zip(data.volumes, data.cases, strict=True):
            assert np.array_equal(volume[0], scan(int(case[:2]))[[0, 2, 4]]), name
    train = dataset.development().train
    drawn = {seed: train.volumes.drawn(seed)[:] for seed in range(4)}
    chosen = set()
    for volumes in drawn.values():
        for volume, case in zip(volumes, train.cases, strict=True):
            original = scan(int(case[:2]))
            kept = [any(np.array_equal(one, two) for two in volume[0]) for one in original]
            assert sum(kept) == 3
            assert np.array_equal(volume[0], original[kept])
            chosen.add(tuple(kept))
    assert len(chosen) == 10  # of five slices three
    assert not np.array_equal(drawn[0], drawn[1])
