from __future__ import annotations

import dataclasses
import http.server
import io
import os
import pathlib
import threading
import zipfile

import numpy as np
import pytest

from medpipe_core import load_plugins
from medpipe_core.data import DataError
from medpipe_core.testing import DatasetContract
from medpipe_plugins.datasets.download import md5_of
from medpipe_plugins.datasets.medmnist3d import FACTS, MedMNIST3D, MedMNISTSettings

COUNTS = (6, 3, 4)


def arrays(blank_train=0):
    rng = np.random.default_rng(0)
    made = {}
    for part, count in zip(("train", "val", "test"), COUNTS, strict=True):
        images = rng.integers(0, 255, (count, 28, 28, 28), dtype=np.uint8)
        if part == "train":
            images[:blank_train] = 0
        made |= {f"{part}_images": images, f"{part}_labels": (np.arange(count) % 2)[:, None]}
    return {name: array.astype(np.uint8) for name, array in made.items()}


@pytest.fixture
def published(tmp_path):
    """A small file in the published format, and a function that opens it as a dataset."""

    def publish(content=None, **settings):
        source = tmp_path / "server"
        source.mkdir(exist_ok=True)
        path = source / "adrenalmnist3d.npz"
        np.savez(path, **(content or arrays()))
        facts = dataclasses.replace(
            FACTS["adrenalmnist3d"], counts=COUNTS, md5={28: md5_of(path), 64: "0" * 32}
        )
        settings = {"root": str(source), **settings}
        return MedMNIST3D("adrenalmnist3d", facts, MedMNISTSettings(**settings))

    return publish


class TestPublishedFormat(DatasetContract):
    @pytest.fixture(autouse=True)
    def _file(self, published):
        self.published = published()

    def make(self):
        return self.published


@pytest.fixture
def server(tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def handler(*args, **kwargs):
        return Quiet(*args, directory=str(tmp_path / "server"), **kwargs)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_development_data_come_without_reading_the_test_arrays(published, monkeypatch):
    dataset = published()
    opened = []
    real = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda self, name, *a: opened.append(name) or real(self, name, *a)
    )
    development = dataset.development()
    sealed = dataset.sealed_test()
    assert (len(development.train), len(development.validation)) == COUNTS[:2]
    assert not [name for name in opened if "test" in str(name)]
    assert len(sealed.open(after="x")) == COUNTS[2]


def test_blank_volumes_are_left_out_with_a_note_or_refused(published):
    development = published(arrays(blank_train=2)).development()
    assert len(development.train) == 4
    assert "2 of 6 volumes of train are blank: [0, 1]; they were left out" in development.notes
    with pytest.raises(DataError, match="2 of 6 volumes of train are blank"):
        published(arrays(blank_train=2), strict=True).development()


def test_a_missing_file_says_which_to_put_where(published, tmp_path):
    with pytest.raises(DataError) as caught:
        published(root=str(tmp_path / "empty")).development()
    text = str(caught.value)
    assert str(tmp_path / "empty" / "adrenalmnist3d.npz") in text
    assert "zenodo.org/records/10519652/files/adrenalmnist3d.npz" in text
    assert "data.download=true" in text


def test_a_file_that_is_not_the_published_one_is_refused(published, tmp_path):
    dataset = published()
    with (tmp_path / "server" / "adrenalmnist3d.npz").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(DataError, match="is not the published file: its MD5 is"):
        dataset.development()


def test_a_download_is_checked_and_then_named(published, server, tmp_path):
    target = tmp_path / "fresh"
    dataset = published(root=str(target), download=True, url=server)
    assert len(dataset.development().train) == COUNTS[0]
    assert [path.name for path in target.iterdir()] == ["adrenalmnist3d.npz"]


@pytest.mark.parametrize("fault", ["spoilt", "absent", "refused"])
def test_a_download_that_fails_leaves_nothing_behind(published, server, tmp_path, fault):
    target = tmp_path / "fresh"
    url = "http://127.0.0.1:9" if fault == "refused" else server
    dataset = published(root=str(target), download=True, url=url)
    file = tmp_path / "server" / "adrenalmnist3d.npz"
    if fault == "spoilt":
        file.write_bytes(b"something else")
    if fault == "absent":
        file.unlink()
    with pytest.raises(DataError, match=str(target)):
        dataset.development()
    assert list(target.iterdir()) == []


def spoilt(kind):
    content = arrays()
    if kind == "shape":
        content["train_images"] = content["train_images"][:5]
    if kind == "dtype":
        content["train_images"] = content["train_images"].astype(np.float64)
    if kind == "label":
        content["train_labels"] = content["train_labels"] + 7
    if kind == "member":
        del content["val_images"]
    return content


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("shape", "expected"),
        ("dtype", "float64"),
        ("label", "has label"),
        ("member", "no array 'val_images'"),
    ],
)
def test_arrays_other_than_published_are_refused_by_name(published, kind, reason):
    with pytest.raises(DataError, match=reason):
        published(spoilt(kind)).development()


def test_a_header_that_asks_for_too_much_is_refused_before_memory_is_taken(published, tmp_path):
    dataset = published()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (40_000_000_000,)}
    )
    path = tmp_path / "server" / "adrenalmnist3d.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", header.getvalue())
    dataset._checked = True
    with pytest.raises(DataError, match="40000000000"):
        dataset.development()


def test_pickled_arrays_are_refused(published, tmp_path):
    dataset = published()
    np.savez(tmp_path / "server" / "adrenalmnist3d.npz", train_images=np.array([{}], dtype=object))
    dataset._checked = True
    with pytest.raises(DataError, match="object"):
        dataset.development()


def test_all_six_sets_are_registered():
    assert set(FACTS) <= set(load_plugins().names("dataset"))


DATA = pathlib.Path(
    os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
)


@pytest.mark.skipif(
    not (DATA / "adrenalmnist3d.npz").is_file(),
    reason="adrenalmnist3d.npz is not there; name its folder in MEDPIPE_DATA",
)
def test_the_real_file_has_what_is_published():
    dataset = load_plugins().create("dataset", "adrenalmnist3d", root=str(DATA))
    development = dataset.development()
    assert development.train.volumes.shape == (1188, 1, 28, 28, 28)
    assert development.notes == ()
    test = dataset.sealed_test().open(after="x")
    assert (test.labels == 0).mean() == pytest.approx(0.7685, abs=5e-5)
