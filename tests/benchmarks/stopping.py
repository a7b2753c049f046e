"""What stopping and saving cost: seconds from a signal to the end, of a save, and of a whole run.

    python tests/benchmarks/stopping.py stop|save|cost [--runs 3] [--stages search,test] [key=value]

`stop` sends SIGTERM in each stage of `medpipe-run` and waits for its end; it tells the seconds of
the clock, and on Linux those of the processor that the run took meanwhile. `save` stops such a run
in its search, and writes and reads the state that it left again and again. `cost` runs a whole run
by turns with the default interval between checkpoints and with those alone that end a stage; the
seconds are of the processor, which other work on the machine changes less than those of the clock.
It tells, too, what all saves of a run took, measured within it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from medpipe_core.record.checkpoints import Checkpoints

RUN = [sys.executable, "-c", "from medpipe_core.command.medpipe_run import main; exit(main())"]
# The same, and what its saves took of the processor, written into a file at the end.
MEASURED = [
    sys.executable,
    "-c",
    """
import json, sys, time
from pathlib import Path
from medpipe_core.execution.checkpointing import CheckpointedMemory
real, taken = CheckpointedMemory.save, []

def save(memory):
    began = time.process_time()
    real(memory)
    taken.append(time.process_time() - began)

CheckpointedMemory.save = save
from medpipe_core.command.medpipe_run import main
code = main(sys.argv[2:])
Path(sys.argv[1]).write_text(json.dumps(taken))
sys.exit(code)
""",
]
BEGUN = {
    "rehearsal": "",
    "search begins": "stage-started search",
    "search": "search-step",
    "scoring": "search-epoch",
    "evaluate": "stage-started evaluate",
    "retrain": "stage-started retrain",
    "test": "test-opened",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["stop", "save", "cost"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--root", type=Path, default=None)
    parser.add_argument("--stages", type=lambda text: text.split(","), default=list(BEGUN))
    parser.add_argument("words", nargs="*")
    asked = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(dir=asked.root) as root:
        {"stop": stop, "save": save, "cost": cost}[asked.what](Path(root), asked)


def stop(root, asked):
    for stage in asked.stages:
        event = BEGUN[stage]
        taken = [stopped(root / f"{stage}-{n}", event, asked.words) for n in range(asked.runs)]
        codes = sorted({code for code, *_ in taken})
        told = ", ".join(f"{seconds:.2f} ({used:.2f})" for _, seconds, used, _ in taken)
        print(f"{stage}: {told} s (of the processor), exit code {', '.join(map(str, codes))}",
              flush=True)  # fmt: skip


def save(root, asked):
    *_, folder = stopped(root / "run", "search-step", asked.words)
    state = Checkpoints(folder / "checkpoints").newest().state
    places = Checkpoints(root)
    wrote, read = [], []
    used = time.process_time()
    for _ in range(max(asked.runs, 5)):
        wrote.append(timed(lambda: places.save(state)))
    used = (time.process_time() - used) / len(wrote)
    for _ in wrote:
        read.append(timed(places.newest))
    size = sum(path.stat().st_size for path in root.glob(f"{places.numbers()[0]:06d}.*"))
    spread = f"{min(wrote):.3f} to {max(wrote):.3f}"
    print(
        f"{size / 2**20:.1f} MiB: written in {statistics.median(wrote):.3f} s ({spread}), ", end=""
    )
    print(f"of the processor {used:.3f} s; read in {statistics.median(read):.3f} s")


def cost(root, asked):
    used, shares, told = {"with": [], "without": []}, [], root / "saves.json"
    for number in range(asked.runs):
        for how, seconds in (("with", 60), ("without", "null")):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.monotonic()
            keys = [f"checkpoint.seconds={seconds}", f"run.root={root / how / str(number)}"]
            words = [*MEASURED, str(told), *asked.words, *keys]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            clock, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            used[how].append(spent)
            saves = json.loads(told.read_text())
            if how == "with":
                shares.append(sum(saves) / spent)
            print(f"{how}: {spent:.1f} s of the processor, {clock:.1f} s of the clock; "
                  f"{len(saves)} saves took {sum(saves):.2f} s of the processor",
                  flush=True)  # fmt: skip
    medians = {how: statistics.median(seconds) for how, seconds in used.items()}
    print(f"with {medians['with']:.1f} s, without {medians['without']:.1f} s: "
          f"{100 * (medians['with'] / medians['without'] - 1):+.1f} %; all saves "
          f"{100 * min(shares):.2f} to {100 * max(shares):.2f} % of a run")  # fmt: skip


def stopped(root, event, words):
    """Start a run, send SIGTERM after an event.

    Returns:
        Its exit code, seconds of the clock and of the processor until its end, and its folder.
    """
    process = subprocess.Popen(
        [*RUN, f"run.root={root}", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    folder = None
    if not event:
        time.sleep(8)
    while event:
        time.sleep(0.02)
        if process.poll() is not None:
            raise SystemExit(f"the run ended with {process.returncode} before {event!r}")
        folder = next((p for p in root.glob("[!.]*")), None) if root.exists() else None
        if folder is not None and (folder / "events.jsonl").exists():
            lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
            names = (json.loads(line) for line in lines)
            if any(f"{e['event']} {e.get('stage', '')}".startswith(event) for e in names):
                break
    began, used = time.monotonic(), processor_seconds(process.pid)
    process.send_signal(signal.SIGTERM)
    _, status, after = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, took, after.ru_utime + after.ru_stime - used, folder


def processor_seconds(number):
    """Return what a process has used; NaN where the system has no /proc."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
