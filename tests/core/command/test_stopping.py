"""Signals to `medpipe-run` in every stage, and going on by `--resume`."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest

from medpipe_core.command.medpipe_run import main

pytestmark = pytest.mark.slow

LONG = {
    "searching": "search.epochs=100000",
    "comparing candidates": "evaluate.epochs=100000",
    "training the chosen network": "retrain.epochs=100000",
}
SLOW_DATA = """
import time
from medpipe_core import hookimpl

@hookimpl
def medpipe_register(registry):
    from pathlib import Path
    toy = registry._known.factory("dataset", "toy")

    def slow():
        made = toy()
        real = made.development
        def development():
            print("reading begins", flush=True)
            time.sleep(60)
            return real()
        made.development = development
        return made

    registry.register("dataset", "slow", slow)
"""


def stopped(process, line, number, again=False):
    """Send a signal after a line was printed; return the exit code, and the seconds until it."""
    for text in process.stdout:
        if line in text:
            break
    else:
        raise AssertionError(process.stderr.read())
    began = time.monotonic()
    process.send_signal(number)
    if again:
        time.sleep(0.01)
        process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode, time.monotonic() - began


def only_folder(root):
    (found,) = [path for path in root.iterdir() if not path.name.startswith(".")]
    return found


@pytest.mark.parametrize("stage", LONG)
def test_a_signal_in_a_stage_saves_ends_and_can_be_gone_on_from(
    command, toy_words, tmp_path, stage
):
    key = LONG[stage].partition("=")[0]
    words = [word for word in toy_words if not word.startswith(f"{key}=")]
    code, seconds = stopped(command(*words, LONG[stage]), f"{stage}: epoch 1", signal.SIGTERM)
    assert code == 143
    assert seconds < 20  # a loaded machine; what it takes is in docs/promises.md
    folder = only_folder(tmp_path / "runs")
    (saved, *_) = sorted((folder / "checkpoints").glob("*.json"), reverse=True)
    state = json.loads(saved.read_bytes().partition(b"\n")[2])["state"]
    assert any(name == "search" or "trial/" in name for name in state["run"]["under_way"])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 75)], ids=["int", "usr1"]
)
def test_each_signal_has_its_exit_code(command, toy_words, tmp_path, number, code):
    words = [word for word in toy_words if not word.startswith("search.epochs=")]
    process = command(*words, "search.epochs=100000")
    assert stopped(process, "searching: epoch 1", number)[0] == code
    assert list((only_folder(tmp_path / "runs") / "checkpoints").glob("*.json"))


def test_a_second_signal_ends_at_once(command, toy_words):
    words = [word for word in toy_words if not word.startswith("search.epochs=")]
    process = command(*words, "search.epochs=100000")
    # Whoever is ended by the signal itself, before a handler answers it, has 143 in a shell, too.
    ended = stopped(process, "searching: epoch 1", signal.SIGTERM, again=True)[0]
    assert ended in (143, -signal.SIGTERM)


SLOW_BLOCK = """
import time
from medpipe_core import Group, Operation, SearchSpace, hookimpl

def endless(in_channels):
    print("building begins", flush=True)
    time.sleep(600)

def space():
    return SearchSpace("endless", Group({"network": Operation("block", "endless")}))

@hookimpl
def medpipe_register(registry):
    registry.register("block", "endless", endless)
    registry.register("space", "endless", space)
"""


def test_a_rehearsal_that_would_take_for_ever_can_be_ended(command, toy_words, tmp_path):
    path = tmp_path / "endless.py"
    path.write_text(SLOW_BLOCK)
    words = [word for word in toy_words if not word.startswith(("space=", "plugins.load="))]
    toy = next(word for word in toy_words if word.startswith("plugins.load=")).rstrip("]")
    process = command(*words, f"{toy},{path}]", "space=endless")
    code, seconds = stopped(process, "building begins", signal.SIGTERM)
    assert code == 143
    assert seconds < 20
    assert not list(tmp_path.glob("runs/*"))


def test_reading_data_can_be_ended(command, toy_words, tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(SLOW_DATA)
    words = [word for word in toy_words if not word.startswith(("dataset=", "plugins.load="))]
    toy = next(word for word in toy_words if word.startswith("plugins.load=")).rstrip("]")
    process = command(*words, f"{toy},{path}]", "dataset=slow")
    code, seconds = stopped(process, "reading begins", signal.SIGTERM)
    assert code == 143
    assert seconds < 20


def test_a_run_that_was_stopped_goes_on_on_the_command_line(command, toy_words, tmp_path, capsys):
    words = [word for word in toy_words if not word.startswith("retrain.epochs=")]
    process = command(*words, "retrain.epochs=400")
    assert stopped(process, "training the chosen network: epoch 2", signal.SIGUSR1)[0] == 75
    folder = only_folder(tmp_path / "runs")
    assert main(["--resume", str(folder), "--trust-plugins"]) == 0
    out = capsys.readouterr().out
    assert "going on where it stopped" in out
    assert not re.search("searching: epoch", out)
    assert "training the chosen network: epoch 400" in out
    assert (folder / "report.html").exists()


def test_what_is_no_run_or_is_at_work_cannot_be_gone_on_with(command, toy_words, tmp_path, capsys):
    assert main(["--resume", str(tmp_path / "none")]) == 4
    words = [word for word in toy_words if not word.startswith("search.epochs=")]
    process = command(*words, "search.epochs=100000")
    for text in process.stdout:
        if "searching: epoch 1" in text:
            break
    folder = only_folder(tmp_path / "runs")
    assert main(["--resume", str(folder), "--trust-plugins"]) == 4
    assert "another process works on the run" in capsys.readouterr().err
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert main(["--resume", str(folder), "--trust-plugins", "search.epochs=2"]) == 4
    assert "key search.epochs: 100000 then, 2 now" in capsys.readouterr().err
