"""Prepared scans on the disk: the same volumes, made once, shared, and never all in memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.data import StoredVolumes, check_development
from medpipe_core.testing import DatasetContract
from medpipe_plugins.datasets import folder_cases
from medpipe_plugins.datasets.folder import FolderDataset
from medpipe_plugins.scans import read_scan

STEPS = [
    {"name": "slices", "parameters": {"count": 4}, "training": {"how": "random"}},
    {"name": "resize", "parameters": {"size": 6}},
]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    rows = ["path,label"]
    for number in range(20):
        np.save(folder / f"{number:02}.npy", scan(number))
        rows.append(f"{number:02}.npy,{number % 2}")
    (folder / "scans.csv").write_text("\n".join(rows))
    return folder / "scans.csv"


@pytest.fixture
def opened(registry, manifest, tmp_path):
    def open_folder(**settings):
        given = {"prepare": STEPS, "manifest": str(manifest), "cache": str(tmp_path / "cache")}
        return FolderDataset(registry=registry, **{**given, **settings})

    return open_folder


@pytest.fixture
def read(monkeypatch):
    """Return the paths of scans that are read."""
    paths = []

    def counting(path, **asked):
        paths.append(path)
        return read_scan(path, **asked)

    monkeypatch.setattr(folder_cases, "read_scan", counting)
    return paths


def scan(number):
    return np.random.default_rng(number).random((9, 8, 7), np.float32)


def parts(dataset):
    development = dataset.development()
    test = dataset.sealed_test().open(after="a test")
    return development.train, development.validation, test


class TestCachedFolder(DatasetContract):
    dataset = FolderDataset

    @pytest.fixture(autouse=True)
    def _scans(self, tmp_path, manifest):
        cache = str(tmp_path / "cache")
        self.settings = {"manifest": str(manifest), "prepare": STEPS, "seed": 0, "cache": cache}


@pytest.mark.parametrize("voxels", ["float32", "uint8"])
def test_volumes_are_those_without_a_cache_and_stay_on_the_disk(opened, voxels):
    for held, cached in zip(
        parts(opened(cache=None, voxels=voxels)), parts(opened(voxels=voxels)), strict=True
    ):
        assert isinstance(cached.volumes, StoredVolumes)
        assert cached.volumes.dtype == held.volumes.dtype == np.dtype(voxels)
        assert np.array_equal(cached.volumes[:], held.volumes[:])
        assert np.array_equal(cached.labels, held.labels)
        assert list(cached.cases) == list(held.cases)


def test_what_was_prepared_once_is_not_read_again(opened, read):
    first = opened()
    facts = (first.development(), first.scan_facts())[1]
    assert facts["count"] == 14
    parts(first)
    read.clear()
    again = opened()
    found = parts(again)
    assert again.card.size == (6, 6, 6)
    assert read == []
    assert again.scan_facts() == facts
    assert check_development(again.development(), again.card) == ()
    assert len(found[2]) == 4


def test_other_content_steps_or_types_are_prepared_anew(opened, read, manifest, tmp_path):
    parts(opened())
    for settings in (
        {"prepare": [{"name": "resize", "parameters": {"size": 6}}]},
        {"prepare": [{"name": "normalise"}, *STEPS]},
    ):
        read.clear()
        parts(opened(**settings))
        assert len(read) == 20
    # Training scans are kept as they are before the step that draws.
    for settings in (
        {"prepare": [STEPS[0], {"name": "resize", "parameters": {"size": 5}}]},
        {"voxels": "uint8"},
    ):
        read.clear()
        parts(opened(**settings))
        assert len(read) == 6
    copied = shutil.copytree(manifest.parent, tmp_path / "copied")
    (copied / "03.npy").rename(copied / "three.npy")
    np.save(copied / "05.npy", scan(99))
    text = (copied / "scans.csv").read_text().replace("03.npy", "three.npy")
    (copied / "scans.csv").write_text(text)
    read.clear()
    parts(opened(manifest=str(copied / "scans.csv")))
    assert {path.name for path in read} == {"05.npy"}


def test_a_pair_of_files_is_another_scan_where_either_changed(opened, read, tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = ["path,label"]
    for number in range(20):
        pair = nibabel.Nifti1Pair(scan(number), np.eye(4))
        nibabel.save(pair, folder / f"{number}.hdr")
        rows.append(f"{number}.hdr,{number % 2}")
    (folder / "scans.csv").write_text("\n".join(rows))
    parts(opened(manifest=str(folder / "scans.csv")))
    nibabel.save(nibabel.Nifti1Pair(scan(77), np.eye(4)), folder / "4.hdr")
    read.clear()
    parts(opened(manifest=str(folder / "scans.csv")))
    assert {path.name for path in read} == {"4.hdr"}


def test_what_another_run_needed_the_room_of_is_prepared_again(opened, tmp_path, manifest):
    settings = {"cache_gib": 5 * 1100 / 2**30}  # room for five volumes
    held = parts(opened(cache=None))[0]
    development = opened(**settings).development()
    assert any("data.cache_gib" in note for note in development.notes)
    for seed in range(2):
        assert np.array_equal(development.train.volumes[:], held.volumes[:])
        drawn = development.train.volumes.drawn(seed)[:]
        assert np.array_equal(drawn, held.volumes.drawn(seed)[:])
    kept = list((tmp_path / "cache").glob("??/*"))
    assert 0 < sum(path.stat().st_size for path in kept) <= 5 * 1100


def test_a_scan_that_changes_meanwhile_is_an_error_that_names_it(opened, manifest, tmp_path):
    copied = shutil.copytree(manifest.parent, tmp_path / "copied")
    train = opened(manifest=str(copied / "scans.csv")).development().train
    np.save(copied / train.cases[0], scan(99))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(mp.MedpipeError, match=rf"{train.cases[0]}: has changed"):
        train.volumes[0]


def test_making_the_dataset_leaves_no_folder(opened, tmp_path):
    opened()
    assert not (tmp_path / "cache").exists()


TWO = """
import sys
import medpipe_core as mp
from medpipe_plugins.datasets.folder import FolderDataset
manifest, cache, steps = sys.argv[1], sys.argv[2], eval(sys.argv[3])
dataset = FolderDataset(registry=mp.load_plugins(), manifest=manifest, cache=cache, prepare=steps)
train, test = dataset.development().train, dataset.sealed_test().open(after="x")
print(float(train.volumes[:].sum()), float(test.volumes[:].sum()))
"""


@pytest.mark.slow
def test_two_processes_share_a_cache(opened, manifest, tmp_path, read):
    words = [sys.executable, "-c", TWO, manifest, tmp_path / "cache", repr(STEPS)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    train, _, test = parts(opened(cache=None))
    assert told == [f"{float(train.volumes[:].sum())} {float(test.volumes.sum())}\n"] * 2
    read.clear()
    parts(opened())
    assert read == []


FLAT = """
import json, resource, sys
import numpy as np
import medpipe_core as mp
from medpipe_core.data import Batches, appearance, describe, ordered_batches, overlap, stored
from medpipe_core.execution.checked_dataset import CheckedDataset
from medpipe_core.execution.fidelity import shrunk
from medpipe_plugins.datasets.folder import FolderDataset

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def through(manifest):
    steps = json.loads(sys.argv[4])
    made = FolderDataset(registry=registry, manifest=manifest, cache=sys.argv[3], prepare=steps)
    dataset = CheckedDataset(made, "it")
    development = dataset.development()
    train, validation = development.train, development.validation
    test = dataset.sealed_test().open(after="a test")
    assert overlap(test, train) == 0
    assert describe(train, dataset.card.classes)["doubles"] == 0
    assert appearance(train.volumes)
    half = train.take(np.arange(0, len(train), 2))
    for data in (train, half, shrunk(train, 0.5)):
        batches = Batches(data, batch_size=2, seed=0, device="cpu")
        assert not batches.held
        for batch in batches.epoch_batches():
            assert batch.volumes.isfinite().all()
    assert sum(len(b.volumes) for b in ordered_batches(test, batch_size=2, device="cpu"))
    return sum(d.volumes.nbytes for d in (train, validation, test))

stored._PART_BYTES = 2**21  # how much is looked at together; it is the same for any set
registry = mp.load_plugins()
through(sys.argv[1])
before = peak()
size = through(sys.argv[2])
print(size, peak() - before)
"""


SIZED = {"name": "resize", "parameters": {"size": [32, 64, 64]}}
DRAWN = {"name": "slices", "parameters": {"count": 32}, "training": {"how": "random"}}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [[SIZED], [SIZED, DRAWN], [DRAWN, SIZED]])
def test_a_set_of_ten_times_the_memory_is_gone_through_with_flat_memory(tmp_path, steps):
    for name, count in (("few", 10), ("many", 300)):
        (tmp_path / name).mkdir()
        rows = ["path,label"]
        for number in range(count):
            np.save(tmp_path / name / f"{number}.npy", scan(number + count))
            rows.append(f"{number}.npy,{number % 2}")
        (tmp_path / name / "scans.csv").write_text("\n".join(rows))
    words = [tmp_path / "few" / "scans.csv", tmp_path / "many" / "scans.csv", tmp_path / "cache"]
    words.append(json.dumps(steps))
    done = subprocess.run(
        [sys.executable, "-c", FLAT, *words], check=True, capture_output=True, text=True
    )
    size, grown = map(int, done.stdout.split())
    assert size == 300 * 4 * 32 * 64 * 64
    assert grown < size / 10
