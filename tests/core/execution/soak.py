"""Disturbs one long run until it ends, and compares it with one that was left alone. A script.

Both are `medpipe-run` in processes of their own, with real signals at random moments. Among the
augmentations are two that are poisoned: one makes values that are not finite, one raises,
each in one of four doses, so that some of the candidates fail. Some time into each process of the
one that is disturbed the clock jumps by up to a year, either way.

    python soak.py FOLDER [--every 30] [--seed 0] [--small-disk FOLDER] [--again] [key=value ...]

With `--small-disk`, a folder on a file system of its own, the run that is disturbed lies there, and
that file system is filled at times. Prints a JSON line for each fault, and one at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from kill_driver import differing, only_folder, outcome

POISON = """
import torch

import medpipe_core as mp


class NotFinite(mp.Augmentation):
    dose = mp.ValueChoice(0, 1, 2, 3)

    def draw(self, count, generator, *, dose):
        return torch.full((count,), float(dose))

    def apply(self, volumes, dose):
        return volumes * float("nan") if dose[0] == 3 else volumes


class Raises(NotFinite):
    def apply(self, volumes, dose):
        if dose[0] == 3:
            raise MemoryError("no memory for this")
        return volumes


@mp.hookimpl
def medpipe_register(registry):
    registry.register("augmentation", "not_finite", NotFinite)
    registry.register("augmentation", "raises", Raises)
"""
SIGNALS = {
    "kill": (signal.SIGKILL, -signal.SIGKILL),
    "term": (signal.SIGTERM, 143),
    "int": (signal.SIGINT, 130),
    "usr1": (signal.SIGUSR1, 75),
}
PYTHON = 1.0  # seconds it has to begin with, in which nobody takes a signal yet
RUN = "import sys; from medpipe_core.command.medpipe_run import main; sys.exit(main())"
JUMP = """
import time

began, told = time.monotonic(), time.time
time.time = lambda: told() + ({days} * 86400 if time.monotonic() - began > {seconds} else 0)
"""


def started(words, log, jump=""):
    with log.open("a") as out:
        return subprocess.Popen(
            [sys.executable, "-c", jump + RUN, *words], stdout=out, stderr=subprocess.STDOUT
        )


def failed_in(folder):
    """Count the candidates whose score says why they have none."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    told = (json.loads(line) for line in lines)
    return sum(e["event"] == "search-epoch" and bool(e.get("failed")) for e in told)


def seconds_of(folder):
    """Return the seconds of each stage."""
    return json.loads((folder / "result.json").read_text())["seconds"].values()


def filled(folder):
    """Take all the room that is left on a disk."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return path


def disturb(process, fault, disk):
    """Let a fault come; say whether the run ended by it as it should, or was at its end."""
    if fault == "disk":
        filler = filled(disk)
        try:
            return process.wait(timeout=300) in (0, 1)
        finally:
            filler.unlink()
    number, expected = SIGNALS[fault]
    process.send_signal(number)
    return process.wait(timeout=120) in (0, expected)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=30, help="seconds between faults, the mean")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small-disk", type=Path)
    parser.add_argument("--again", action="store_true", help="beside the run left alone before")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_intermixed_args()
    rng = random.Random(asked.seed)
    asked.folder.mkdir(parents=True, exist_ok=True)
    poison = asked.folder / "poison.py"
    poison.write_text(POISON)
    words = [*asked.words, f"plugins.load=[{poison}]", "space.augment.extra=[not_finite,raises]"]
    whole, disk = asked.folder / "whole", asked.small_disk or asked.folder
    left_alone = asked.again and only_folder(whole)
    if not left_alone and started([*words, f"run.root={whole}"], asked.folder / "whole.log").wait():
        sys.exit(f"the undisturbed run failed; see {asked.folder / 'whole.log'}")
    root, log = disk / "disturbed", asked.folder / "disturbed.log"
    shutil.rmtree(root, ignore_errors=True)
    faults, began = [], time.monotonic()
    kinds = [*SIGNALS, *(["disk"] if asked.small_disk else [])]
    while True:
        folder = only_folder(root)
        resumed = [f"run.root={root}", *words] if folder is None else ["--resume", str(folder)]
        trusted = [] if folder is None else ["--trust-plugins"]
        days, seconds = rng.randint(-365, 365), rng.uniform(0, asked.every)
        jump = JUMP.format(days=days, seconds=seconds)
        process = started([*resumed, *trusted], log, jump)
        try:
            if process.wait(timeout=PYTHON + rng.expovariate(1 / asked.every)):
                sys.exit(f"it ended by itself with {process.returncode}; see {log}")
            break
        except subprocess.TimeoutExpired:
            fault = rng.choice(kinds)
        at = round(time.monotonic() - began, 1)
        right = disturb(process, fault, disk)
        print(json.dumps({"fault": fault, "at": at, "right": right}), flush=True)
        faults.append(fault)
        if not right:
            process.kill()
            sys.exit(f"{fault} ended it with {process.returncode}; see {log}")
        if process.returncode == 0:
            break
    told = {
        "faults": {kind: faults.count(kind) for kind in kinds},
        "differs": differing(outcome(only_folder(whole)), outcome(only_folder(root)), events=True),
        "failed candidates": failed_in(only_folder(whole)),
        "seconds alone": round(sum(seconds_of(only_folder(whole)))),
        "seconds disturbed": round(time.monotonic() - began),
    }
    print(json.dumps(told))
    sys.exit(bool(told["differs"]))


if __name__ == "__main__":
    main()
