"""Each command with each file of a run's folder damaged: it says so, or has no need of the file."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest

from medpipe_core import api
from medpipe_core.command.medpipe import main as medpipe
from medpipe_core.command.medpipe_run import main as medpipe_run
from medpipe_core.config import RunFolderError, resolve
from medpipe_core.config.errors import Interrupted
from medpipe_core.execution.results import RunResult
from medpipe_core.execution.signals import Stop
from medpipe_core.execution.trained_model import load_model
from medpipe_core.record.checksums import damaged_files
from medpipe_core.record.run_folder import RunFolder, open_folder

FILES = {
    "config.yaml", "plugins.json", "environment.json", "events.jsonl", "genotype.json",
    "policy.txt", "result.json", "weights.safetensors", "decision.json", "predictions.csv",
    "split.csv", "data_card.json", "checksums.json",
}  # fmt: skip
ALWAYS = {"config.yaml", "result.json", "checksums.json"}
NEEDS = {
    "predict": ALWAYS | {"weights.safetensors"},
    "export": ALWAYS | {"weights.safetensors"},
    "report": ALWAYS | {"events.jsonl", "data_card.json"},
    "resume": ALWAYS | {"events.jsonl", "data_card.json"},
    "compare": ALWAYS | {"events.jsonl"},
    "reproduce": ALWAYS | {"events.jsonl", "environment.json", "weights.safetensors"},
    "check": FILES,
}
DESCRIBED = ("plugins.json", "split.csv", "data_card.json", "environment.json")
MADE_AGAIN = (*DESCRIBED, "genotype.json", "policy.txt", "weights.safetensors")


def missing(path, _):
    path.unlink()


def empty(path, _):
    path.write_bytes(b"")


def cut(path, _):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path, _):
    path.write_bytes(bytes(np.random.default_rng(0).integers(0, 256, 999, dtype="u1")))


def edited(path, _):
    """Change a digit, which leaves the file what it was in form."""
    content = path.read_bytes()
    at = next(n for n in range(len(content)) if chr(content[n]).isdigit())
    path.write_bytes(content[:at] + (b"1" if content[at] != 49 else b"2") + content[at + 1 :])


def foreign(path, other):
    shutil.copy(other / path.name, path)


def pipe(path, _):
    """Whoever opens it waits for a writer."""
    path.unlink()
    os.mkfifo(path)


def endless(path, _):
    path.unlink()
    path.symlink_to("/dev/zero")


def huge(path, _):
    """Larger than the memory, without taking room on the disk."""
    with path.open("ab") as file:
        file.truncate(2**40)


DAMAGES = (missing, empty, cut, garbage, edited, foreign)
SPECIAL = (pipe, endless, huge)


@pytest.fixture(scope="module")
def runs(registry, toy_values, tmp_path_factory):
    """A finished run, one of another seed, and one that was stopped while it retrained."""
    root = tmp_path_factory.mktemp("runs")
    stop, place = Stop(lambda _: None), []

    def configured(name, **keys):
        values = {**toy_values, "run.root": str(root / name), "checkpoint.steps": 2, **keys}
        return resolve(values, registry)

    def listen(event, /, **_):
        if event == "retrain-epoch":
            stop.take(signal.SIGTERM)

    finished = api.execute(configured("finished"), registry).folder
    other = api.execute(configured("other", seed=1, **{"search.epochs": 2}), registry).folder
    with pytest.raises(Interrupted):
        api.execute(
            configured("stopped"), registry,
            listeners=[listen], stop=stop, on_folder=lambda folder: place.append(folder.path),
        )  # fmt: skip
    np.save(root / "scan.npy", np.arange(216.0, dtype="f4").reshape(6, 6, 6) / 216)
    return {"finished": finished, "other": other, "stopped": place[0], "root": root}


@pytest.fixture
def obey(runs, tmp_path, capsys, monkeypatch):
    """Run a command on a folder; return its exit code, its output and its errors."""
    remade = RunFolder(runs["finished"])
    made = RunResult(remade.path, None, remade.result())

    def obey(command, folder):
        scan, out, trust = str(runs["root"] / "scan.npy"), tmp_path / "out", "--trust-plugins"
        shutil.rmtree(out, ignore_errors=True)
        words = {
            "predict": ["predict", str(folder), scan, trust],
            "export": ["export", str(folder), "--out", str(out), trust],
            "report": ["report", str(folder)],
            "resume": ["--resume", str(folder), trust],
            "compare": ["compare", str(folder), str(runs["other"]), "--out", str(out)],
            "reproduce": ["reproduce", str(folder), "--out", str(out), trust],
            "check": ["check", str(folder), trust],
        }[command]
        with monkeypatch.context() as patched:
            if command == "reproduce":
                patched.setattr(api, "execute", lambda *_, **__: made)
            code = (medpipe_run if command == "resume" else medpipe)(words)
        told = capsys.readouterr()
        return code, told.out, told.err

    return obey


def held(runs, tmp_path, obey, command, name, damage):
    folder = shutil.copytree(runs["finished"], tmp_path / "run", symlinks=True)
    undamaged = None if command in ("export", "reproduce") else obey(command, folder)
    before = (folder / name).read_bytes()
    damage(folder / name, runs["other"])
    if damage not in (missing, *SPECIAL) and (folder / name).read_bytes() == before:
        return  # all runs have the same one
    unneeded = name not in NEEDS[command] or (damage is missing and name == "checksums.json")
    if unneeded and undamaged is None:
        return  # it takes seconds, and reads by the same doors as the others
    code, out, errors = obey(command, folder)
    told = out + errors
    assert "Traceback" not in told
    if name == "checksums.json" and damage in (edited, foreign):  # it tells of other files
        damaged = code == 4 or command == "compare"
        named = " bytes, not " in told or "its content has changed" in told
        assert (damaged and named) or (code, out, errors) == undamaged
    elif command == "compare" and not unneeded:  # the other run can still be told of
        assert code == 0
        assert f"{folder.name}: " in told.replace(str(folder), folder.name)
        assert name in told
    elif unneeded and command != "check":
        assert (code, out, errors) == undamaged
    else:
        assert code == 4, told
        assert name in told


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("command", NEEDS)
def test_a_damaged_file_is_told_or_is_not_needed(runs, tmp_path, obey, command, name, damage):
    held(runs, tmp_path, obey, command, name, damage)


@pytest.mark.slow
@pytest.mark.parametrize("damage", SPECIAL)
@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("command", NEEDS)
def test_nothing_waits_for_a_pipe_or_drowns_in_a_file(
    runs, tmp_path, obey, in_time, command, name, damage
):
    held(runs, tmp_path, obey, command, name, damage)


@pytest.mark.parametrize("damage", SPECIAL)
def test_nothing_waits_for_weights_that_are_none(runs, tmp_path, registry, in_time, damage):
    """Where a folder has no checksums, the reader of the weights is the last that can say so."""
    folder = shutil.copytree(runs["finished"], tmp_path / "run")
    (folder / "checksums.json").unlink()
    damage(folder / "weights.safetensors", None)
    with pytest.raises(RunFolderError, match=r"weights\.safetensors"):
        load_model(folder, registry=registry)


@pytest.mark.parametrize("command", NEEDS)
def test_a_changed_figure_is_told(runs, tmp_path, obey, command):
    held(runs, tmp_path, obey, command, "result.json", edited)


def test_a_folder_that_is_whole_has_these_files(runs):
    names = {path.name for path in runs["finished"].iterdir() if path.is_file()}
    assert names - {"report.html", "run.lock"} == FILES
    assert list(damaged_files(runs["finished"] / "checksums.json")) == []


def test_a_threshold_that_was_edited_answers_nothing(runs, registry, tmp_path):
    folder = shutil.copytree(runs["finished"], tmp_path / "run")
    path = folder / "result.json"
    content = json.loads(path.read_text())
    content["decision"]["threshold"] = 0.01
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    with pytest.raises(RunFolderError, match=r"result\.json is not as the run left it: .* delete"):
        load_model(folder, registry=registry)
    (folder / "checksums.json").unlink()
    assert load_model(folder, registry=registry).rule.threshold == 0.01


def test_a_file_that_only_some_runs_have_is_missed_where_this_one_had_it(runs, tmp_path):
    folder = open_folder(shutil.copytree(runs["finished"], tmp_path / "run"))
    (folder.path / "checksums.json").unlink()
    for name in ("preparation.json", "scans.json"):
        (folder.path / name).write_text("{}")
    folder.finish()
    assert (folder.preparation(), folder.scan_facts()) == ({}, {})
    for name, read in (("preparation", folder.preparation), ("scans", folder.scan_facts)):
        (folder.path / f"{name}.json").unlink()
        with pytest.raises(RunFolderError, match=f"{name}.json is not as the run left it: No such"):
            read()


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*MADE_AGAIN, "config.yaml", "events.jsonl"])
def test_a_run_that_is_gone_on_with_makes_damaged_files_again_or_refuses(
    runs, tmp_path, obey, name, damage
):
    folder = shutil.copytree(runs["stopped"], tmp_path / "run")
    damage(folder / name, runs["other"])
    saved = {path.name: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    code, out, errors = obey("resume", folder)
    assert "Traceback" not in out + errors
    if name in MADE_AGAIN:
        assert code == 0
        assert list(damaged_files(folder / "checksums.json")) == []
        for same in (*MADE_AGAIN[:3], *MADE_AGAIN[4:], "decision.json", "predictions.csv"):
            assert (folder / same).read_bytes() == (runs["finished"] / same).read_bytes(), same
        return
    assert code == 4
    assert name in errors or "key " in errors
    assert {p.name: p.read_bytes() for p in (folder / "checkpoints").iterdir()} == saved


@pytest.mark.slow
def test_a_configuration_that_is_cut_anywhere_is_named(runs, tmp_path, obey):
    whole = (runs["stopped"] / "config.yaml").read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 60)):
        folder = shutil.copytree(runs["stopped"], tmp_path / f"run{length}")
        (folder / "config.yaml").write_bytes(whole[:length])
        code, out, errors = obey("resume", folder)
        assert "Traceback" not in out + errors
        if code == 0:  # what was cut off is what would be without it
            made = (folder / "predictions.csv").read_bytes()
            assert made == (runs["finished"] / "predictions.csv").read_bytes()
        else:
            assert code == 4, errors
            assert "config.yaml" in errors or "key " in errors, errors
