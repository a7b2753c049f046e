"""Kills a run again and again, goes on with it, and compares what it ends with. Run as a script.

A process loads everything once and forks: each child runs or resumes the toy run, and may be killed
by SIGKILL at the n-th *point*: before or in the middle of a write, before or after a flush, rename,
deletion or truncation, or between two steps. It prints one JSON line for each run that was killed.
Other faults than `kill` come at such a point, too: `disk`, which is full from there on; `term`, a
signal that is heard at the next step; `rename`, from where on no file takes the place of another;
and `clock`, which jumps by a day either way while the run goes on.

    python kill_driver.py FOLDER --kills 20 --seed 0 [--faults kill,disk] [key=value ...]
    python kill_driver.py FOLDER --seconds 3600 --faults kill,disk,term,clock,rename
    python kill_driver.py FOLDER --stage test --faults kill,disk,rename

With `--stage` a run is killed as a stage begins, and each fault comes at every point from there to
the end, once: each time to a copy of what was left. Whoever opens the test set is watched always:
what was chosen and trained has to be on the disk by then, and no process may open it twice.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import itertools
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
from safetensors import safe_open

from medpipe_core import api
from medpipe_core.config import resolve
from medpipe_core.config.yaml_values import read
from medpipe_core.data import SealedTest
from medpipe_core.execution import checkpointing
from medpipe_core.execution.signals import stopping
from medpipe_core.plugins import load_plugins
from medpipe_core.record import atomic_files, journal
from medpipe_core.record.checksums import damaged_files

TOY = Path(__file__).parents[1] / "toy_plugin.py"
KEYS = {
    "plugins.load": [str(TOY)], "space": "toy", "searcher": "evolution", "dataset": "toy",
    "device": "cpu", "threads": 1, "search.epochs": 2, "search.batch_size": 4,
    "search.candidates": 2, "evaluate.batch_size": 4, "evaluate.epochs": 2, "evaluate.top_k": 2,
    "retrain.batch_size": 4, "retrain.epochs": 3, "retrain.average": 0.9, "test.resamples": 20,
    "checkpoint.steps": 3,
}  # fmt: skip


FILES = (
    "weights.safetensors", "genotype.json", "policy.txt", "predictions.csv", "decision.json",
    "split.csv", "data_card.json", "plugins.json", "environment.json",
)  # fmt: skip
TIMES = {"time", "seconds", "run.root"}


WRITES = ("before write", "before fsync", "before replace", "before rename", "before event")
DAY = 86_400  # seconds


class Points:
    """Counts the points that a process passes, and lets a fault happen at one of them."""

    def __init__(self, root, last, fault="kill"):
        self.root = root
        self.last = last
        self.fault = fault
        self.full = False
        self.stuck = False
        self.names = []
        self.stages = {}
        self.opened = 0

    def __call__(self, name):
        self.names.append(name)
        if len(self.names) == self.last:
            getattr(self, self.fault)()
        if self.full and name in WRITES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.stuck and name in ("before replace", "before rename"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def term(self):
        os.kill(os.getpid(), signal.SIGTERM)

    def disk(self):
        self.full = True

    def rename(self):
        self.stuck = True

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
            if name == "stage-started":
                self.stages.setdefault(fields["stage"], len(self.names) + 1)
            self("before event")
            if len(self.names) + 1 == self.last and self.fault == "kill":
                with log._lock:
                    log._file.write('{"time": "torn')
                    log._file.flush()
            self("within event")
            real_event(log, name, **fields)

        def opened(sealed, *, after):
            texts = trained_texts(only_folder(self.root) / "weights.safetensors")
            innermost = after == "everything was chosen"
            self.opened += innermost
            if self.opened > 1 or not (innermost or texts.get("genotype_digest") == after):
                raise RuntimeError(f"the test set is opened {self.opened} times, by {texts}")
            self("before the test set")
            return real_open(sealed, after=after)

        real_open, SealedTest.open = SealedTest.open, opened
        atomic_files._write_through = through
        journal.Journal.__call__ = event


def trained_texts(path):
    """Return what weights on the disk say of themselves, if they are those of the end."""
    with safe_open(path, "pt") as file:
        return file.metadata() if file.metadata()["state"] == "trained" else {}


def forked(work, root, last=0, fault="kill"):
    """Run in a child; return its exit status, and what it passed, or the error it ended with."""
    out, back = os.pipe()
    child = os.fork()
    if child:
        os.close(back)
        with os.fdopen(out) as stream:
            told = stream.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told
    os.close(out)
    points = Points(root, last, fault)
    try:
        points.install()
        work()
        passed = {"points": points.names, "stages": points.stages, "modules": sorted(sys.modules)}
        text, code = json.dumps(passed), 0
    except BaseException:
        text, code = traceback.format_exc(), 1
    with os.fdopen(back, "w") as stream:
        stream.write(text)
    os._exit(code)


SAYS = {"disk": "No space left", "term": "Interrupted", "rename": "Input/output error"}
"""What a run says that a fault has ended, other than by killing it."""


def stoppable(work):
    """Return work that takes signals, as the command does."""

    def run():
        with stopping(lambda number: None) as stop:
            return work(stop)

    return run


def preload(work, root):
    """Import here what a run imports, so that no child has to."""
    code, text = forked(work, root)
    if code:
        sys.exit(text)
    for name in json.loads(text)["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def outcome(folder):
    """All that a run leaves behind but for times."""
    content = json.loads((folder / "result.json").read_text())
    del content["seconds"]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    told = [_timeless(e) for e in events if e["event"] not in {"resumed", "resume-warning"}]
    files = {name: (folder / name).read_bytes() for name in FILES}
    whole = (folder / "report.html").exists(), list(damaged_files(folder / "checksums.json"))
    return {
        "whole": whole,
        "content": content,
        "events": told,
        "order": [e["event"] for e in told],
        **files,
    }


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
    parser.add_argument("--stage", help="every fault at every point from its beginning on")
    parser.add_argument("--every", type=int, default=1, help="one in so many, after the first ten")
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

    preload(begin(asked.folder / "first"), asked.folder / "first")
    whole = asked.folder / "whole"
    code, told = forked(begin(whole), whole)
    if code:
        sys.exit(told)
    passed = json.loads(told)
    points = passed["points"]
    expected = outcome(only_folder(whole))
    ordered = keys.get("executor.workers", 1) == 1
    print(json.dumps({"points": len(points)}), flush=True)
    stretches = list(itertools.pairwise([1, *passed["stages"].values(), len(points) + 1]))
    done, started, root = 0, time.monotonic(), asked.folder / "killed"

    def afresh(root):
        folder = only_folder(root)
        return begin(root) if folder is None else go_on(folder)

    def faulted(last, fault):
        """Go on with the run under a fault; say whether it came to its end in spite of it."""
        code, told = forked(afresh(root), root, last, fault)
        if code not in (0, -signal.SIGKILL) and SAYS.get(fault, "?") not in told:
            sys.exit(f"{fault} at point {last}: {told}")
        return code == 0

    def ended(at, where, stages, began):
        """Let the run come to its end; tell of it, and compare."""
        code, told = forked(afresh(root), root)
        if code:
            sys.exit(f"after {at}: {told}")
        wrong = differing(expected, outcome(only_folder(root)), ordered)
        seconds = time.monotonic() - began
        line = {"killed": at, "where": where, "stages": stages, "differs": wrong,
                "seconds": seconds}  # fmt: skip
        print(json.dumps(line), flush=True)
        if wrong:
            sys.exit(f"killed at {at}: {wrong}")

    if asked.stage is not None:
        base = asked.folder / "base"
        code, told = forked(begin(base), base, passed["stages"][asked.stage])
        if code != -signal.SIGKILL:
            sys.exit(told)
        shutil.copytree(base, root)
        code, told = forked(afresh(root), root)
        left, first = json.loads(told)["points"], json.loads(told)["stages"][asked.stage]
        near, far = range(first, first + 10), range(first + 10, len(left) + 1, asked.every)
        for last, fault in itertools.product((*near, *far), asked.faults):
            shutil.rmtree(root)
            shutil.copytree(base, root)
            began = time.monotonic()
            finished = faulted(last, fault)
            stages = [] if finished else [stage_of(only_folder(root))]
            ended([f"{fault} {last}"], [left[last - 1]], stages, began)
        return
    while done < asked.kills or time.monotonic() - started < asked.seconds:
        shutil.rmtree(root, ignore_errors=True)
        at, where, stages, began = [], [], [], time.monotonic()
        for _ in range(rng.randint(1, asked.chain)):
            first, end = rng.choice(stretches)  # short stages are met as often as long ones
            last, fault = rng.randrange(first, end), rng.choice(asked.faults)
            finished = faulted(last, fault)
            at.append(f"{fault} {last}")
            if finished:
                break
            met = "later" if len(at) > 1 else points[last - 1]
            where.append(met if asked.faults == ["kill"] else fault)
            stages.append(stage_of(only_folder(root)))
            done += 1
        ended(at, where, stages, began)


if __name__ == "__main__":
    main()
