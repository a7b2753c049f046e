"""Kills a run again and again, goes on with it, and compares what it ends with. Run as a script.

A process loads everything once and forks: each child runs or resumes the toy run, and may be killed
by SIGKILL at the n-th *point*: before or in the middle of a write, before or after a flush, rename,
deletion or truncation, or between two steps. It prints one JSON line for each run that was killed.
Other faults than `kill` come at such a point, too: `disk`, which is full from there on; `term`, a
signal that is heard at the next step; and `clock`, which jumps by a day either way while the run
goes on.

    python kill_driver.py FOLDER --kills 20 --seed 0 [--faults kill,disk] [key=value ...]
    python kill_driver.py FOLDER --seconds 3600 --faults kill,disk,term,clock
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from medpipe_core import api
from medpipe_core.config import resolve
from medpipe_core.config.yaml_values import read
from medpipe_core.execution import checkpointing
from medpipe_core.execution.signals import stopping
from medpipe_core.plugins import load_plugins
from medpipe_core.record import atomic_files, journal

TOY = Path(__file__).parents[1] / "toy_plugin.py"
KEYS = {
    "plugins.load": [str(TOY)], "space": "toy", "searcher": "evolution", "dataset": "toy",
    "device": "cpu", "threads": 1, "search.epochs": 2, "search.batch_size": 4,
    "search.candidates": 2, "evaluate.batch_size": 4, "evaluate.epochs": 2, "evaluate.top_k": 2,
    "retrain.batch_size": 4, "retrain.epochs": 3, "retrain.average": 0.9, "test.resamples": 20,
    "checkpoint.steps": 3,
}  # fmt: skip


TIMES = {"time", "seconds", "run.root"}


FAULTS = ("kill", "disk", "term", "clock")
WRITES = ("before write", "before fsync", "before replace", "before rename", "before event")
DAY = 86_400  # seconds


class Points:
    """Counts the points that a process passes, and lets a fault happen at one of them."""

    def __init__(self, last, fault="kill"):
        self.last = last
        self.fault = fault
        self.full = False
        self.names = []

    def __call__(self, name):
        self.names.append(name)
        if len(self.names) == self.last:
            getattr(self, self.fault)()
        if self.full and name in WRITES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def term(self):
        os.kill(os.getpid(), signal.SIGTERM)

    def disk(self):
        self.full = True

    def clock(self):
        days = DAY * (1 if self.last % 2 else -1)
        real = time.time
        time.time = lambda: real() + days

    def around(self, owner, name):
        real = getattr(owner, name)

        def call(*arguments, **words):
            self(f"before {name}")
            found = real(*arguments, **words)
            self(f"after {name}")
            return found

        setattr(owner, name, call)

    def install(self):
        for name in ("fsync", "replace", "rename", "unlink", "truncate"):
            self.around(os, name)
        self.around(checkpointing.CheckpointedMemory, "between_steps")
        real_through, real_event = atomic_files._write_through, journal.Journal.__call__

        def through(path, data):
            self("before write")
            path.write_bytes(bytes(data[: len(data) // 2]))
            self("within write")
            path.unlink()
            real_through(path, data)

        def event(log, name, /, **fields):
            self("before event")
            if len(self.names) + 1 == self.last and self.fault == "kill":
                with log._lock:
                    log._file.write('{"time": "torn')
                    log._file.flush()
            self("within event")
            real_event(log, name, **fields)

        atomic_files._write_through = through
        journal.Journal.__call__ = event


def forked(work, last=0, names=None, fault="kill"):
    """Run in a child; return its exit status, what it printed, and the points that it passed."""
    out, back = os.pipe()
    child = os.fork()
    if child:
        os.close(back)
        with os.fdopen(out) as stream:
            told = stream.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told
    os.close(out)
    points = Points(last, fault)
    try:
        points.install()
        work()
        text, code = json.dumps(points.names if names is None else names()), 0
    except BaseException:
        text, code = traceback.format_exc(), 1
    os.write(back, text.encode())
    os._exit(code)


SAYS = {"disk": "No space left", "term": "Interrupted"}
"""What a run says that a fault has ended, other than by killing it."""


def stoppable(work):
    """Return work that takes signals, as the command does."""

    def run():
        with stopping(lambda number: None) as stop:
            return work(stop)

    return run


def preload(work):
    """Import here what a run imports, so that no child has to."""
    code, text = forked(work, names=lambda: sorted(sys.modules))
    if code:
        sys.exit(text)
    for name in json.loads(text):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def outcome(folder):
    """All that a run leaves behind but for times."""
    content = json.loads((folder / "result.json").read_text())
    del content["seconds"]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    told = [_timeless(e) for e in events if e["event"] not in {"resumed", "resume-warning"}]
    files = {
        name: (folder / name).read_bytes()
        for name in ("weights.safetensors", "genotype.json", "policy.txt")
    }
    return {"content": content, "events": told, "order": [e["event"] for e in told], **files}


def _timeless(value):
    if isinstance(value, dict):
        return {
            k: _timeless(v) for k, v in value.items() if k not in {"time", "seconds", "run.root"}
        }
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def stage_of(folder):
    """Return the stage that a killed run was in; `beginning` before the first, `ending` after."""
    path = None if folder is None else folder / "events.jsonl"
    stage = "beginning"
    for line in path.read_text().splitlines() if path is not None and path.exists() else ():
        with contextlib.suppress(ValueError):  # the last one may be torn
            event = json.loads(line)
            if event["event"] == "stage-started":
                stage = event["stage"]
            elif event["event"] == "stage-finished" and event["stage"] == "test":
                stage = "ending"
    return stage


def only_folder(root):
    found = (
        [path for path in root.iterdir() if not path.name.startswith(".")] if root.exists() else []
    )
    return found[0] if found else None


def differing(one, other, events):
    names = [name for name in one if name not in {"events", "order"} and one[name] != other[name]]
    if events and one["events"] != other["events"]:
        pairs = zip(one["events"], other["events"], strict=False)
        names.append(["events", next((p for p in pairs if p[0] != p[1]), "their number")])
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chain", type=int, default=3, help="kills of one run, at most")
    parser.add_argument("--seconds", type=float, default=0, help="go on for at least so long")
    parser.add_argument("--faults", type=lambda text: text.split(","), default=["kill"])
    parser.add_argument("words", nargs="*")
    asked = parser.parse_intermixed_args()
    given = dict(word.split("=", 1) for word in asked.words)
    keys = {**KEYS, **{k: v if k in ("searcher", "dataset") else read(v) for k, v in given.items()}}
    torch.set_num_threads(1)
    registry = load_plugins(load=[TOY])
    rng = random.Random(asked.seed)

    def begin(root):
        configuration = resolve({**keys, "run.root": str(root)}, registry)
        return stoppable(lambda stop: api.execute(configuration, registry, stop=stop))

    def go_on(folder):
        return stoppable(lambda stop: api.resume(folder, registry=registry, stop=stop))

    preload(begin(asked.folder / "first"))
    whole = asked.folder / "whole"
    code, told = forked(begin(whole))
    if code:
        sys.exit(told)
    points = json.loads(told)
    expected = outcome(only_folder(whole))
    ordered = keys.get("executor.workers", 1) == 1
    print(json.dumps({"points": len(points)}), flush=True)
    done, started = 0, time.monotonic()
    while done < asked.kills or time.monotonic() - started < asked.seconds:
        root = asked.folder / "killed"
        shutil.rmtree(root, ignore_errors=True)
        at, where, stages, began = [], [], [], time.monotonic()
        for _ in range(rng.randint(1, asked.chain)):
            last = rng.randint(1, len(points))
            folder, fault = only_folder(root), rng.choice(asked.faults)
            work = begin(root) if folder is None else go_on(folder)
            code, told = forked(work, last, fault=fault)
            if code not in (0, -signal.SIGKILL) and SAYS.get(fault, "?") not in told:
                sys.exit(f"{fault} at point {last} after {at}: {told}")
            at.append(f"{fault} {last}")
            met = "later" if len(at) > 1 else points[last - 1]
            where.append(met if asked.faults == ["kill"] else fault)
            if code == 0:
                where.pop()
                break
            stages.append(stage_of(only_folder(root)))
            done += 1
        folder = only_folder(root)
        code, told = forked(begin(root) if folder is None else go_on(folder))
        if code:
            sys.exit(f"after {at}: {told}")
        wrong = differing(expected, outcome(only_folder(root)), ordered)
        seconds = time.monotonic() - began
        line = {"killed": at, "where": where, "stages": stages, "differs": wrong,
                "seconds": seconds}  # fmt: skip
        print(json.dumps(line), flush=True)
        if wrong:
            sys.exit(f"killed at {at}: {wrong}")


if __name__ == "__main__":
    main()
