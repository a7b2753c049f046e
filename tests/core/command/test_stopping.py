"""Signals to `medpipe-run` in every stage, and going on by `--resume`."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medpipe_core.command import single_run
from medpipe_core.command.medpipe_run import main

pytestmark = pytest.mark.slow

MOST = 4.0  # seconds of the processor, from a signal to the end: a step of a small run, and a save
PLUGIN = """
import time
import numpy as np
from medpipe_core import Group, Operation, SearchSpace, ValueChoice, hookimpl
from medpipe_core.data import Development, LabelledVolumes, SealedTest

COUNT = 2000  # 63 batches, each of which a slow block looks at for 0.3 s

def endless(*_, **__):
    print("it begins", flush=True)
    time.sleep(600)

def wide(toy):
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (COUNT, 1, 6, 6, 6), dtype="u1")
    labels = np.arange(COUNT) % 2
    return Development(toy.development().train, LabelledVolumes(volumes, labels))

def space():
    return SearchSpace("endless", Group({"network": Operation("block", "endless")}))

def slow_block(in_channels, *, stride: int):
    from torch import nn

    class Slow(nn.Conv3d):
        def forward(self, volumes):
            if not self.training:
                time.sleep(0.3)
            return super().forward(volumes)

    block = Slow(in_channels, 2, 3, stride, 1)
    block.out_channels = 2
    return block

def slow_space():
    block = Operation("block", "slow", {"stride": ValueChoice(1, 2)})
    return SearchSpace("slow", Group({"network": block}))

@hookimpl
def medpipe_register(registry):
    make = registry._known.factory("dataset", "toy")

    def but(method, other):
        def made():
            toy = make()
            setattr(toy, method, lambda: other(make()))
            return toy
        return made

    registry.register("block", "endless", endless)
    registry.register("space", "endless", space)
    registry.register("block", "slow", slow_block)
    registry.register("space", "slow", slow_space)
    registry.register("dataset", "endless", but("development", endless))
    registry.register("dataset", "wide", but("development", wide))
    sealed = but("sealed_test", lambda toy: SealedTest(endless))
    registry.register("dataset", "endless-test", sealed)
"""
AT_ONCE = {
    "reading": ["dataset=endless"],
    "rehearsal": ["space=endless"],
    "test": ["dataset=endless-test"],
}
STEPPING = {
    "search": ("search-step", 1, ["search.epochs=100000"]),
    "scoring": ("search-step", 3, ["dataset=wide", "space=slow"]),
    "trials": ("search-trial", 1, ["search.scores=trained", "search.trial_epochs=100000"]),
    "evaluation": ("evaluate-epoch", 1, ["evaluate.epochs=100000"]),
    "race": ("evaluate-epoch", 1, ["evaluate.epochs=100000", "evaluate.rungs=2"]),
    "workers": ("evaluate-epoch", 1, ["evaluate.epochs=100000", "executor.workers=2"]),
    "retraining": ("retrain-epoch", 1, ["retrain.epochs=100000"]),
}  # fmt: skip


class Running:
    """`medpipe-run` in a process group of its own, with the plugin above and the toy's."""

    def __init__(self, command, toy_words, tmp_path, *words):
        path = tmp_path / "endless.py"
        path.write_text(PLUGIN)
        given = dict(word.split("=", 1) for word in toy_words)
        given |= dict(word.split("=", 1) for word in words)
        given["plugins.load"] = f"{given['plugins.load'].rstrip(']')},{path}]"
        self._root = tmp_path / "runs"
        self._before = children_seconds()
        self.process = command(*map("=".join, given.items()), start_new_session=True)

    def says(self, line):
        """Wait until a line is printed."""
        for text in self.process.stdout:
            if line in text:
                return
        raise AssertionError(self.process.stderr.read())

    def tells(self, event, count):
        """Wait until its journal has some events of a name."""
        while True:
            assert self.process.poll() is None, self.process.stderr.read()
            journals = list(self._root.glob("[!.]*/events.jsonl"))
            if journals and journals[0].read_text().count(f'"event": "{event}"') >= count:
                return
            time.sleep(0.01)

    def stopped(self, number, *, again=False):
        """Send a signal; return the exit code, seconds of the processor until it, and the errors.

        On systems without /proc the seconds are those of the whole run, NaN.
        """
        used = seconds_of(self.process.pid)
        self.process.send_signal(number)
        if again:
            time.sleep(0.01)
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=600)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return self.process.returncode, children_seconds() - self._before - used, errors


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of(number):
    """Return what a process and its ended children have used of the processor."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def begin(command, toy_words, tmp_path):
    """Begin runs, which end with the test at the latest."""
    runs = []

    def start(*words):
        runs.append(Running(command, toy_words, tmp_path, *words))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        for stream in (run.process.stdout, run.process.stderr):
            stream.close()


def only_folder(root):
    (found,) = [path for path in root.iterdir() if not path.name.startswith(".")]
    return found


@pytest.mark.parametrize("stage", STEPPING)
def test_a_signal_in_a_stage_saves_ends_and_can_be_gone_on_from(begin, tmp_path, stage):
    event, count, words = STEPPING[stage]
    run = begin(*words)
    run.tells(event, count)
    code, seconds, errors = run.stopped(signal.SIGTERM)
    assert code == 143
    # Two processes that train are killed, and what they had used is not known before.
    assert seconds < MOST or stage == "workers"
    assert "Traceback" not in errors
    assert "to go on with it: medpipe-run --resume" in errors
    assert errors.endswith("medpipe-run: stopped by SIGTERM\n")
    folder = only_folder(tmp_path / "runs")
    if stage == "scoring":  # that of one candidate takes 19 seconds, and was not waited for
        assert '"event": "search-epoch"' not in (folder / "events.jsonl").read_text()
    (saved, *_) = sorted((folder / "checkpoints").glob("*.json"), reverse=True)
    state = json.loads(saved.read_bytes().partition(b"\n")[2])["state"]
    under_way = state["run"]["under_way"]
    assert any(name == "search" or "trial/" in name for name in under_way) or stage == "workers"


@pytest.mark.parametrize("stage", AT_ONCE)
def test_where_there_are_no_steps_a_signal_ends_a_run_at_once(begin, tmp_path, stage):
    run = begin(*AT_ONCE[stage])
    run.says("it begins")
    code, seconds, errors = run.stopped(signal.SIGTERM)
    assert code == 143
    assert seconds < MOST
    assert "Traceback" not in errors
    assert errors.endswith("medpipe-run: stopped by SIGTERM\n")
    assert bool(list(tmp_path.glob("runs/*"))) == (stage == "test")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 75)], ids=["int", "usr1"]
)
def test_each_signal_has_its_exit_code(begin, tmp_path, number, code):
    run = begin("search.epochs=100000")
    run.tells("search-step", 1)
    ended, _, errors = run.stopped(number)
    assert ended == code
    assert errors.endswith(f"medpipe-run: stopped by {number.name}\n")
    assert list((only_folder(tmp_path / "runs") / "checkpoints").glob("*.json"))


def test_a_second_signal_ends_at_once(begin):
    run = begin("search.epochs=100000")
    run.tells("search-step", 1)
    # Whoever is ended by the signal itself, before a handler answers it, has 143 in a shell, too.
    assert run.stopped(signal.SIGTERM, again=True)[0] in (143, -signal.SIGTERM)


def caught(process):
    """Say whether a process takes SIGTERM."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigCgt")]
    return int(mask, 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc says what is caught")
@pytest.mark.parametrize("wait", [0, 0.2, 0.8])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 75)],
    ids=["int", "term", "usr1"],
)
def test_a_signal_while_a_command_begins_ends_it_with_a_word(begin, tmp_path, number, code, wait):
    """`wait`: seconds of the processor, most of which imports take."""
    run = begin()
    while not caught(run.process) or seconds_of(run.process.pid) < wait:
        assert run.process.poll() is None
        time.sleep(0.001)
    ended, _, errors = run.stopped(number)
    assert (ended, errors) == (code, f"medpipe-run: stopped by {number.name}\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc says what is caught")
def test_so_it_is_with_what_inspects():
    code = "import sys; from medpipe_core.command.medpipe import main; sys.exit(main(['plugins']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not caught(process):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate()
    assert (process.returncode, out, errors) == (143, "", "medpipe: stopped by SIGTERM\n")


def test_a_run_that_was_stopped_goes_on_on_the_command_line(begin, tmp_path, capsys):
    run = begin("retrain.epochs=400")
    run.tells("retrain-epoch", 2)
    assert run.stopped(signal.SIGUSR1)[0] == 75
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


def test_a_signal_ends_a_sweep_and_the_run_it_was_at_goes_on(
    toy_words, tmp_path, monkeypatch, capsys
):
    """What is done stands in the table, and what had not begun leaves nothing."""
    real, begun = single_run.execute, []

    def execute(configuration, registry, *, listeners, **heard):
        begun.append(configuration.keys.seed)

        def listener(event, /, **_):
            if event == "search-step" and begun == [0, 1]:
                begun.append("signal")
                os.kill(os.getpid(), signal.SIGTERM)

        return real(configuration, registry, listeners=[*listeners, listener], **heard)

    monkeypatch.setattr(single_run, "execute", execute)
    assert main([*toy_words, "-m", "seed=0,1,2"]) == 143
    assert begun == [0, 1, "signal"]
    out, errors = capsys.readouterr()
    rows = out.split("Sweep, on the test set")[1].splitlines()
    first, second = sorted((tmp_path / "runs").glob("[!.]*"))
    assert [str(first) in row for row in rows if "runs" in row] == [True]
    assert f"to go on with it: medpipe-run --resume {second}" in errors
    assert main(["--resume", str(second), "--trust-plugins"]) == 0
    assert (second / "result.json").exists()
