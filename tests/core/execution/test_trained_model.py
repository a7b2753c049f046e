"""The network of a run, loaded again: it answers as the run did, and refuses what is foreign."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.command.medpipe import main
from medpipe_core.config import RunFolderError
from medpipe_core.data import DataError
from medpipe_core.execution import trained_model


@pytest.fixture(scope="module")
def run(registry, toy_values, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return mp.run(registry=registry, **{**toy_values, "run.root": str(root)})


@pytest.fixture
def model(run, registry):
    return mp.load_model(run.folder, registry=registry)


@pytest.fixture
def volumes(registry):
    return registry.factory("dataset", "toy")().sealed_test().open(after="a test").volumes


def told(run, part):
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] == part]


def test_it_answers_as_the_run_did(run, model, volumes):
    answers = model.predict(volumes)
    rows = told(run, "test")
    assert [answer.decision for answer in answers] == [row["decision"] for row in rows]
    for answer, row in zip(answers, rows, strict=True):
        for name in model.classes:
            assert answer.probabilities[name] == pytest.approx(
                float(row[f"probability of {name}"]), abs=1e-5
            )


def test_files_are_answered_like_the_volumes_in_them(model, volumes, tmp_path):
    np.save(tmp_path / "one.npy", volumes[0])
    np.save(tmp_path / "bare.npy", volumes[1, 0])
    np.save(tmp_path / "several.npy", volumes[2:4])
    np.savez(tmp_path / "packed.npz", volumes=volumes[4:5])
    names = ["one.npy", "bare.npy", "several.npy", "packed.npz"]
    answers = model.predict([tmp_path / name for name in names])
    expected = [answer.probabilities for answer in model.predict(volumes[:5])]
    for answer, known in zip(answers, expected, strict=True):
        assert answer.probabilities == pytest.approx(known)
    assert [a.case.rpartition("/")[2] for a in answers] == [
        "one.npy", "bare.npy", "several.npy[0]", "several.npy[1]", "packed.npz",
    ]  # fmt: skip


def test_floats_and_bytes_are_on_one_scale(model, volumes):
    as_floats = model.predict(volumes[:2].astype(np.float32) / 255)
    for one, other in zip(as_floats, model.predict(volumes[:2]), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_what_is_unlike_the_training_data_is_said(model, volumes):
    assert [answer.warnings for answer in model.predict(volumes)] == [()] * len(volumes)
    (answer,) = model.predict(np.full((1, 1, 6, 6, 6), 255, np.uint8))
    assert any("share of background" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((1, 6, 6, 7), np.uint8), r"takes volumes \(1, 6, 6, 6\)"),
        (np.zeros((1, 6, 6, 6), np.int16), "uint8 in"),
        (np.full((1, 6, 6, 6), np.nan, np.float32), "no finite number"),
    ],
)
def test_a_file_that_cannot_be_used_fails_alone(model, volumes, tmp_path, content, reason):
    np.save(tmp_path / "bad.npy", content)
    np.save(tmp_path / "good.npy", volumes[0])
    bad, gone, good = model.predict([tmp_path / n for n in ("bad.npy", "gone.npy", "good.npy")])
    assert "bad.npy" in bad.failed
    assert re.search(reason, bad.failed)
    assert "no such file" in gone.failed
    assert not good.failed
    with pytest.raises(DataError, match=reason):
        model.predict(content[None])


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run that may be changed: nothing compares it with what it was."""
    folder = shutil.copytree(run.folder, tmp_path / "copied")
    (folder / "checksums.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("result.json", "{}", "is not the result of a run"),
        ("result.json", "{", "is not usable JSON"),
        ("weights.safetensors", "xx", "cannot be read"),
        ("result.json", None, "cannot read"),
        ("weights.safetensors", None, "cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_file(copied, registry, name, content, reason):
    (copied / name).unlink()
    if content is not None:
        (copied / name).write_text(content)
    with pytest.raises(RunFolderError, match=f"{name}.*{reason}|{reason}.*{name}"):
        mp.load_model(copied, registry=registry)


def test_a_space_that_is_another_now_is_refused(copied, registry):
    path = copied / "config.yaml"
    path.write_text(path.read_text().replace("space.width: 3", "space.width: 5"))
    with pytest.raises(RunFolderError, match="is not what it was"):
        mp.load_model(copied, registry=registry)


def test_foreign_code_is_not_run_unasked(run):
    with pytest.raises(RunFolderError, match=r"toy_plugin.*--trust-plugins"):
        mp.load_model(run.folder)
    assert mp.load_model(run.folder, trust_plugins=True).classes == ("dark", "bright")


def test_the_command_tells_a_table_and_writes_a_file(run, volumes, tmp_path, capsys):
    np.save(tmp_path / "a.npy", volumes[0])
    words = ["predict", str(run.folder), str(tmp_path / "a.npy"), "--trust-plugins"]
    assert main([*words, "--csv", str(tmp_path / "out.csv")]) == 0
    out = capsys.readouterr().out
    assert "decision" in out.splitlines()[0]
    assert "not a medical device" in out
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["decision"] == told(run, "test")[0]["decision"]
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["answers"][0]["decision"] == row["decision"]


def test_the_command_names_what_has_no_answer(run, volumes, tmp_path, capsys):
    np.save(tmp_path / "a.npy", volumes[0])
    words = ["predict", str(run.folder), str(tmp_path / "a.npy"), str(tmp_path / "b.npy")]
    assert main([*words, "--trust-plugins"]) == 1
    told = capsys.readouterr()
    assert "b.npy: there is no such file" in told.err
    assert "no answer" in told.out
    assert main(words) == 4


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--device", "cuda:99"], 2, "device=cuda:99: "),
        (["--device", "nope"], 2, "device=nope: give auto, cpu"),
        (["--csv", "/dev/full"], 1, "no file, but a device, pipe or socket"),
        (["--csv", "."], 1, "it is a folder"),
    ],
)
def test_where_it_cannot_run_or_write_is_told_before_the_network_is_loaded(
    run, tmp_path, monkeypatch, capsys, more, code, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained_model, "build_network", None)
    assert main(["predict", str(run.folder), "a.npy", "--trust-plugins", *more]) == code
    assert told in capsys.readouterr().err


def test_a_table_in_a_folder_that_is_not_there_makes_it(run, volumes, tmp_path):
    np.save(tmp_path / "a.npy", volumes[0])
    words = ["predict", str(run.folder), str(tmp_path / "a.npy"), "--trust-plugins"]
    assert main([*words, "--csv", str(tmp_path / "new" / "out.csv")]) == 0
    assert (tmp_path / "new" / "out.csv").exists()


def test_a_folder_or_a_pipe_is_no_file_to_answer_for(run, registry, tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    model = mp.load_model(run.folder, registry=registry)
    for answer in model.predict([tmp_path, tmp_path / "pipe.npy"]):
        assert "it is no file, but a folder, device, pipe or socket" in answer.failed
