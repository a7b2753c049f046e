"""Three published CT sets: their lists, their traps, and scans as the paper samples them."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.config.configuration import resolve
from medpipe_core.data import DataError
from medpipe_core.testing import DatasetContract
from medpipe_plugins.datasets.published_ct import CCCCII, COVIDCTset, MosMed, counted
from medpipe_plugins.datasets.published_ct_lists import read_list
from medpipe_plugins.scans import read_slices

DATA = pathlib.Path(
    os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
)
FOLDERS = {CCCCII: "clean_cc_ccii", MosMed: "mosmed", COVIDCTset: "covid_ctset"}
NAMES = {CCCCII: "cc-ccii", MosMed: "mosmed", COVIDCTset: "covid-ctset"}


def real(path):
    """Return a path of published lists or miniatures, or skip."""
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not there; name its folder in MEDPIPE_DATA")
    return DATA / path


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (6, 5), np.uint8)


def first_of(case):
    """Return the number of the first picture of a case, class/patient/scan."""
    label, patient, scan = case.split("/")
    return 1000 * ("CP", "NCP", "Normal").index(label) + 100 * int(patient[-1]) + 10 * int(scan)


def made(root, patients=6, slices=4):
    """Make Clean-CC-CCII's layout: classes, patients with two scans, slices in reverse order."""
    lists = {"train": {}, "test": {}}
    for label in ("CP", "NCP", "Normal"):
        for number in range(patients):
            part = "test" if number >= patients - 2 else "train"
            patient = f"{label}{number}"
            for scan in ("1", "2"):
                folder = root / "dataset_cleaned" / label / patient / scan
                folder.mkdir(parents=True)
                names = [f"{index:04}.png" for index in range(slices)]
                for index, name in enumerate(names):
                    first = first_of(f"{label}/{patient}/{scan}")
                    Image.fromarray(picture(first + index)).save(folder / name)
                of_patient = lists[part].setdefault(label, {}).setdefault(patient, {})
                of_patient[scan] = names[::-1]
    for part, content in lists.items():
        (root / f"ct_{part}.json").write_text(json.dumps(content))
    return lists


class TestCCCCII(DatasetContract):
    dataset = CCCCII

    @pytest.fixture(autouse=True)
    def _set(self, tmp_path):
        made(tmp_path, patients=5, slices=2)
        self.settings = {"root": str(tmp_path), "size": (3, 4, 4), "seed": 0}


def changed(root, part, change):
    path = root / f"ct_{part}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_slices_are_in_the_order_of_the_list_each_once(tmp_path):
    made(tmp_path)
    folder = tmp_path / "dataset_cleaned" / "CP" / "CP0" / "1"
    scan = read_slices(folder, ["0003.png", "0000.png"])
    assert np.array_equal(
        scan.values, np.stack([picture(first_of("CP/CP0/1") + n) for n in (3, 0)])
    )
    changed(tmp_path, "test", lambda c: c["CP"]["CP4"].update({"1": ["0002.png", "0001.png"] * 2}))
    dataset = CCCCII(root=str(tmp_path), prepare=[{"name": "normalise"}, *SIZED])
    test = dataset.sealed_test().open(after="a test")
    volume = test.volumes[test.cases.tolist().index("CP/CP4/1")][0].astype(int)
    expected = np.stack([picture(first_of("CP/CP4/1") + n) for n in (2, 1)]).astype(float)
    expected = np.rint((expected - expected.min()) / (np.ptp(expected)) * 255)
    assert np.array_equal(volume, expected)
    notes = " ".join(dataset.card.notes)
    assert "In the test list 1 of 12 scans name slices more than once (1 name every slice" in notes
    assert "In the train list the slices of 24 scans do not follow their names" in notes


SIZED = [{"name": "slices", "parameters": {"count": 2}}]


def copied(root, scan, other):
    for path in (root / "dataset_cleaned" / scan).iterdir():
        shutil.copy(path, root / "dataset_cleaned" / other / path.name)


def test_copies_stay_as_published_and_are_told(tmp_path):
    made(tmp_path)
    copied(tmp_path, "CP/CP0/1", "CP/CP1/2")
    copied(tmp_path, "CP/CP0/2", "CP/CP5/1")
    dataset = CCCCII(root=str(tmp_path), size=(3, 6, 5))
    (told,) = [note for note in dataset.development().notes if "byte for byte" in note]
    assert told == (
        "2 scans are copies, byte for byte, which stay, as the set is published with them: "
        "CP/CP1/2 of CP/CP0/1, CP/CP5/1 of CP/CP0/2 (train, not test)."
    )
    assert len(dataset.sealed_test().open(after="a test")) == 12


def test_copies_come_into_one_part_where_the_split_is_made(tmp_path):
    made(tmp_path)
    alike = {f"CP/CP{number}" for number in range(4)}
    chain = (("CP0", "CP1"), ("CP2", "CP3"), ("CP1", "CP2"))
    for number, (one, other) in enumerate(chain):
        scan = str(number % 2 + 1)
        copied(tmp_path, f"CP/{one}/{scan}", f"CP/{other}/{scan}")
    for seed in range(5):
        dataset = CCCCII(root=str(tmp_path), size=(3, 6, 5), split="own", seed=seed)
        found = dataset.development()
        parts = [found.train.cases, found.validation.cases]
        parts.append(dataset.sealed_test().open(after="a test").cases)
        having = [p for p in parts if any(case[:6] in alike for case in p)]
        assert len(having) == 1
        assert sum(map(len, parts)) == 36


def test_training_draws_slices_and_the_test_takes_the_middle(tmp_path):
    made(tmp_path, slices=9)
    dataset = CCCCII(root=str(tmp_path), size=(3, 6, 5), voxels="uint8")
    steps = dataset.preparation()
    assert steps[1] == {"name": "resize", "parameters": {"size": [None, 6, 5]}}
    assert steps[2]["training"] == {"how": "random"}
    assert "how in training=random" in " ".join(dataset.card.notes)
    test = dataset.sealed_test().open(after="a test")
    for volume, case in zip(test.volumes, test.cases, strict=True):
        expected = [picture(first_of(case) + index) for index in (8, 4, 0)]
        assert np.array_equal(volume[0], np.stack(expected))
    train = dataset.development().train
    drawn = set()
    for volume, case in zip(train.volumes.drawn(0), train.cases, strict=True):
        slices = [picture(first_of(case) + index) for index in range(9)]
        found = [next(i for i, s in enumerate(slices) if np.array_equal(s, v)) for v in volume[0]]
        assert found == sorted(found, reverse=True)
        drawn.add(tuple(found))
    assert len(drawn) > 1


def test_a_patient_in_two_lists_is_named(tmp_path):
    lists = made(tmp_path)
    changed(tmp_path, "test", lambda c: c["NCP"].update({"NCP1": lists["train"]["NCP"]["NCP1"]}))
    with pytest.raises(DataError, match=r"more than one part.*NCP1 \(train, test\)"):
        CCCCII(root=str(tmp_path)).development()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data.root=FOLDER names the folder that has dataset_cle"):
        _ = CCCCII().card
    made(tmp_path)
    (tmp_path / "dataset_cleaned/CP/CP0/1/0002.png").unlink()
    notes = CCCCII(root=str(tmp_path), size=(2, 4, 4)).development().notes
    assert any(re.search(r"CP/CP0/1 .*0002.png: there is no such file", note) for note in notes)
    (tmp_path / "ct_test.json").rename(tmp_path / "ct_tset.json")
    with pytest.raises(DataError, match=r"no list .*ct_test.json.*dataset.split=own.*ct_tset"):
        _ = CCCCII(root=str(tmp_path)).card


def test_without_lists_all_scans_are_split_by_patient(tmp_path):
    made(tmp_path)
    dataset = CCCCII(root=str(tmp_path), split="own", size=(2, 4, 4), validation=0.2)
    development, test = dataset.development(), dataset.sealed_test().open(after="a test")
    parts = [set(data.groups) for data in (development.train, development.validation, test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 18
    assert "Table III" not in " ".join(dataset.card.notes)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"CP": {"p": {"s": ["../x.png"]}}}, "'../x.png' is no name"),
        ({"CP": {"..": {"s": ["x.png"]}}}, "'..' is no name"),
        ({"CP": {"p": {"s": []}}}, "not a list of file names"),
        ({"CP": ["p"]}, "CP is list"),
        ([], "a list is"),
        ({}, "names no scan"),
        ({"COVID": {"p": {"s": ["x.png"]}}}, "classes COVID, but those of Clean-CC-CCII"),
    ],
)
def test_a_list_that_cannot_be_understood_says_where(tmp_path, content, told):
    made(tmp_path)
    (tmp_path / "ct_train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=told):
        CCCCII(root=str(tmp_path)).development()


def test_a_list_may_be_gzipped_and_a_broken_one_is_named(tmp_path):
    made(tmp_path)
    text = (tmp_path / "ct_train.json").read_bytes()
    (tmp_path / "ct_train.json").unlink()
    (tmp_path / "ct_train.json.gz").write_bytes(gzip.compress(text))
    assert len(CCCCII(root=str(tmp_path), size=(2, 4, 4)).development().train) > 0
    (tmp_path / "ct_train.json.gz").write_bytes(gzip.compress(text)[:60])
    with pytest.raises(DataError, match=r"cannot read the list .*ct_train.json.gz"):
        _ = CCCCII(root=str(tmp_path)).card


def test_the_sizes_are_the_papers_and_a_step_that_is_none_is_refused():
    registry = mp.load_plugins()
    sizes = {"cc-ccii": (32, 128, 128), "mosmed": (40, 256, 256), "covid-ctset": (32, 512, 512)}
    for name, size in sizes.items():
        configuration = resolve({"dataset": name, "data.root": "somewhere"}, registry)
        assert configuration.parameters["dataset"]["size"] == size
    with pytest.raises(ConfigurationError, match="resize"):
        resolve({"dataset": "mosmed", "dataset.prepare": [{"name": "resise"}]}, registry)


# What the authors published, where it is at hand.


def expected_counts(truth):
    return {label: (n["patients"], n["scans"]) for label, n in truth.items() if n["scans"]}


@pytest.mark.parametrize(
    ("kind", "part", "name"),
    [
        (CCCCII, "test", "clean_cc_ccii/ct_test.json.gz"),
        (MosMed, "train", "mosmed/nii_train.json.gz"),
        (MosMed, "test", "mosmed/nii_test.json.gz"),
        (MosMed, "train", "mosmed/nii_png_train.json.gz"),
        (MosMed, "test", "mosmed/nii_png_test.json.gz"),
        (COVIDCTset, "train", "covid_ctset/train_balance.json.gz"),
        (COVIDCTset, "test", "covid_ctset/test_balance.json.gz"),
    ],
)
def test_the_published_lists_count_as_table_three(kind, part, name):
    published = read_list(real(f"ct_manifests/{name}"))
    folder, stem = name.split("/")
    truth = json.loads(real("ct_manifests/truth_table3.json").read_text())[folder]
    key = "test" if kind is CCCCII else stem.split(".")[0]
    slices = {label: n["slices"] for label, n in truth[key].items() if n["scans"]}
    found = dict.fromkeys(slices, 0)
    for scan in published.scans:
        found[scan.label] += len(scan.files) + scan.doubles
    assert found == slices
    by_folder = counted(published, {label: label for label in kind.published.labels})
    assert by_folder == expected_counts(truth[key])
    paper = {label: tuple(n) for label, n in truth["paper"][part].items()}
    assert counted(published, kind.published.labels) == kind.published.counts[part] == paper


def test_the_published_training_counts_of_cc_ccii_are_table_three():
    statistics = json.loads(real("ct_manifests/clean_cc_ccii/ct_statistics.json").read_text())
    for part in ("train", "test"):
        patients, scans = statistics["patient"][part], statistics["scan"][part]
        expected = {label: (patients[label], scans[label]) for label in scans}
        assert CCCCII.published.counts[part] == expected


def cases_of(kind, **lists):
    folder = real(f"ct_manifests/{FOLDERS[kind]}")
    return kind(root=str(folder), **lists)._cases()


def test_the_other_split_of_mosmed_leaks_237_patients():
    lists = {"train_list": "nii_train.json", "test_list": "nii_png_test.json"}
    with pytest.raises(DataError, match=r"\(train, test\).* and 227 more") as caught:
        cases_of(MosMed, **lists)
    named = re.findall(r"(\d{4}) \(train, test\)", str(caught.value))
    one, other = (read_list(real(f"ct_manifests/mosmed/{n}.gz")) for n in lists.values())
    shared = {scan.patient for scan in one.scans} & {scan.patient for scan in other.scans}
    assert len(shared) == 237
    assert len(named) == 10
    assert set(named) <= shared


def test_folds_that_share_patients_are_refused():
    with pytest.raises(DataError, match=r"patient\d+ \(validation, test\).* and 196 more"):
        cases_of(
            COVIDCTset,
            train_list="train1.json",
            validation_list="validation1.json",
            test_list="test1.json",
        )


def test_the_papers_lists_leak_nothing_and_say_what_stands_in_them_twice():
    (empty,) = read_list(real("ct_manifests/clean_cc_ccii/ct_test.json.gz")).empty
    assert empty[0] == "CP"
    assert len(cases_of(COVIDCTset)) == 526
    assert len(cases_of(MosMed)) == 1110
    dataset = COVIDCTset(root=str(real("ct_manifests/covid_ctset")))
    assert (
        "In the train list 78 of 402 scans name slices more than once (78 name every slice twice); "
        "each slice counts once."
    ) in dataset._list_notes
    assert "Slices of a scan in the train list, median: NCP 6, Normal 29." in dataset._list_notes


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_miniature_in_the_published_layout_becomes_a_tested_model(kind, tiny, tmp_path):
    folder = real(f"ct_sets/{FOLDERS[kind]}")
    keys = {
        **tiny,
        "searcher": "gumbel",
        "search.batch_size": 2,
        "search.edge": [1, 0.5, 0.5],
        "evaluate.batch_size": 2,
        "retrain.batch_size": 2,
        "dataset": NAMES[kind],
        "data.root": str(folder),
        "dataset.size": [8, 16, 16],
        "dataset.validation": 0.3,
        "run.root": str(tmp_path),
    }
    if kind is CCCCII:  # its training list has two scans of a class, too few for two halves
        keys["dataset.split"] = "own"
    result = mp.run(**keys)
    truth = json.loads(real("ct_sets/truth.json").read_text())[FOLDERS[kind]]
    found = [result.content["data"][name]["count"] for name in ("train", "validation", "test")]
    scans = {name: sum(n["scans"] for n in listed.values()) for name, listed in truth.items()}
    assert sum(found) == sum(scans.values())
    if kind is not CCCCII:
        assert found[2] == scans[kind(root=str(folder)).asked.test_list]
    assert tuple(result.content["classes"]) == tuple(dict.fromkeys(kind.published.labels.values()))
    chain = json.loads((result.folder / "preparation.json").read_text())
    assert [step["name"] for step in chain][-3:] == ["resize", "slices", "quantise"]
