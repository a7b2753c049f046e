"""`medpipe check` and `medpipe reproduce`."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from medpipe_core import api
from medpipe_core.command.medpipe import main
from medpipe_core.config import resolve
from medpipe_core.config.errors import Interrupted
from medpipe_core.execution.signals import Stop
from medpipe_core.record.run_folder import open_folder
from medpipe_core.record.run_lock import RunLock


@pytest.fixture(scope="module")
def runs(registry, toy_values, tmp_path_factory):
    """A finished run, and one that was stopped while it retrained."""
    root = tmp_path_factory.mktemp("runs")

    def configured(name):
        return resolve(
            {**toy_values, "run.root": str(root / name), "checkpoint.steps": 2}, registry
        )

    finished = api.execute(configured("finished"), registry).folder
    stop, place = Stop(lambda _: None), []

    def listen(event, /, **_):
        if event == "retrain-epoch":
            stop.take(signal.SIGTERM)

    with pytest.raises(Interrupted):
        api.execute(
            configured("stopped"), registry,
            listeners=[listen], stop=stop, on_folder=lambda folder: place.append(folder.path),
        )  # fmt: skip
    return finished, place[0]


@pytest.fixture
def finished(runs, tmp_path):
    return shutil.copytree(runs[0], tmp_path / "finished")


@pytest.fixture
def stopped(runs, tmp_path):
    return shutil.copytree(runs[1], tmp_path / "stopped")


@pytest.fixture
def check(capsys):
    def check(folder):
        code = main(["check", str(folder), "--trust-plugins", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return check


def test_a_finished_run_is_whole(check, finished, capsys):
    code, told = check(finished)
    assert (code, told["state"], told["problems"]) == (0, "finished", [])
    assert "made by this version, medpipe" in told["notes"][0]
    assert main(["check", str(finished)]) == 0
    assert f"{finished}: finished, whole" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["result.json", "weights.safetensors", "events.jsonl"])
def test_a_file_that_has_changed_is_named(check, finished, name):
    path = finished / name
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    code, told = check(finished)
    assert (code, told["problems"]) == (4, [f"{name}: its content has changed"])
    path.write_bytes(content[:-1])
    assert check(finished)[1]["problems"] == [
        f"{name}: {len(content) - 1} bytes, not {len(content)}"
    ]
    path.unlink()
    assert check(finished)[1]["problems"] == [f"{name}: No such file or directory"]


def test_a_run_that_can_be_gone_on_with_says_how(check, stopped):
    code, told = check(stopped)
    assert (code, told["state"], told["problems"]) == (0, "stopped", [])
    assert told["notes"][-1].endswith(f"medpipe-run --resume {stopped}")


def test_one_damaged_checkpoint_is_told_two_are_too_many(check, stopped):
    newest, before = sorted((stopped / "checkpoints").glob("*.json"), reverse=True)
    newest.write_text("nothing")
    code, told = check(stopped)
    assert code == 0
    assert any(f"{newest.name} is damaged" in note for note in told["notes"])
    before.write_text("nothing")
    code, told = check(stopped)
    assert (code, told["whole"]) == (4, False)
    assert "no checkpoint" in told["problems"][0]


def test_what_stands_in_the_way_of_going_on_is_told(check, stopped):
    config = stopped / "config.yaml"
    config.write_text(config.read_text().replace("retrain.epochs: 2", "retrain.epochs: 5"))
    journal = stopped / "events.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    code, told = check(stopped)
    assert code == 4
    assert "events.jsonl has lost its end" in told["problems"][0]
    assert "key retrain.epochs: 2 then, 5 now" in told["problems"][1]


def test_a_run_that_was_stopped_at_once_would_begin_anew(check, stopped):
    for path in (stopped / "checkpoints").iterdir():
        path.unlink()
    code, told = check(stopped)
    assert code == 0
    assert "would begin anew" in told["notes"][-1]


def test_a_run_at_work_is_left_alone(check, stopped):
    with RunLock(stopped):
        code, told = check(stopped)
    assert (code, told["state"]) == (0, "running")


def test_code_that_a_folder_names_is_not_loaded_unasked(stopped, capsys):
    assert main(["check", str(stopped)]) == 4
    assert "loads code from" in capsys.readouterr().out


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 4
    assert main(["reproduce", str(tmp_path / "none")]) == 4
    assert capsys.readouterr().err.count("medpipe: ") == 2


def test_a_run_made_again_is_the_same_in_every_figure(finished, tmp_path, capsys):
    words = ["reproduce", str(finished), "--trust-plugins", "--out", str(tmp_path / "again")]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["differences"] == []
    assert told["figures"] > 50
    assert told["weights"]
    assert told["surroundings"] == []


def test_what_differs_is_named_with_what_else_differs(finished, tmp_path, capsys):
    result = json.loads((finished / "result.json").read_text())
    result["test"]["accuracy"]["value"] = 2.0
    (finished / "result.json").write_text(json.dumps(result))
    machine = json.loads((finished / "environment.json").read_text())
    machine["versions"]["torch"] = "1.0"
    (finished / "environment.json").write_text(json.dumps(machine))
    open_folder(finished).finish()  # as if it had ended so
    words = ["reproduce", str(finished), "--trust-plugins", "--out", str(tmp_path / "again")]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "test/accuracy/value: 2.0 then, " in out
    assert "torch: version 1.0 then, " in out
    assert "the weights are the same" in out


def test_a_run_that_did_not_finish_cannot_be_compared(stopped, capsys):
    assert main(["reproduce", str(stopped), "--trust-plugins"]) == 4
    assert "result.json" in capsys.readouterr().err
