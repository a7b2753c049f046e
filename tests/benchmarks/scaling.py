"""Cost as the work grows: spaces of many choices, supernets of many candidates, larger volumes.

    python tests/benchmarks/scaling.py [--json] [--threads 1] [--part space|candidates|volumes]

`space`: seconds of each operation on a space of n choices, and the exponent between neighbours
(1 is linear). `candidates`: one search step's seconds and peak memory with n candidates in each of
four layers (flat is right). `volumes`: one search step against the batch and the volume's side.
Peak memory is by how much the process grows in a process of its own, parameters left out (Linux).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import torch
from torch import nn

import medpipe_core as mp
from medpipe_core import Group, Operation, OperationChoice, SearchSpace, ValueChoice
from medpipe_core.data import Batch
from medpipe_core.search import GumbelSearcher, SearchState
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step

if TYPE_CHECKING:
    from collections.abc import Callable

CHOICES = (10, 100, 1_000, 10_000)
CANDIDATES = (2, 4, 8, 16, 32)
VOLUMES = ((2, 28), (4, 28), (8, 28), (16, 28), (4, 16), (4, 32), (4, 64), (2, 128))
SETTINGS = SearchSettings(epochs=1)


def median(call: Callable[[], object], least: float = 0.2) -> float:
    """Return the median seconds of a call, repeated for at least so long."""
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def wide_space(choices: int) -> SearchSpace:
    """Describe so many choices: groups of a nested choice with values under its keys."""
    rich = Group({"a": ValueChoice(1, 2, 3), "b": ValueChoice("x", "y")})
    part = OperationChoice({"rich": rich, "poor": ValueChoice(0.0, 0.5)})  # four choices
    return SearchSpace("wide", Group({f"part{n}": part for n in range(max(choices // 4, 1))}))


def spaces() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for choices in CHOICES:
        space = wide_space(choices)
        one, other = space.sample(seed=0), space.sample(seed=1)
        calls: dict[str, Callable[[], object]] = {
            "build": lambda choices=choices: wide_space(choices),
            "size": lambda choices=choices: wide_space(choices).size(),
            "sample": lambda space=space: space.sample(seed=2),
            "mutate": lambda space=space, one=one: space.mutate(one, seed=3),
            "crossover": lambda s=space, one=one, other=other: s.crossover(one, other, seed=4),
            "validate": lambda space=space, one=one: space.validate(one),
            "canonical": lambda space=space, one=one: space.canonical(one),
            "json": lambda one=one: mp.Genotype.from_json(one.to_json()),
        }
        seconds = {name: median(call) for name, call in calls.items()}
        rows.append({"choices": choices, "seconds": seconds})
    return rows


class Same:
    """Hands out one batch again and again."""

    def __init__(self, batch: int, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        volumes = torch.rand(batch, 1, size, size, size, generator=generator)
        self.batch = Batch(volumes, torch.arange(batch) % 2, torch.arange(batch))

    def __len__(self) -> int:
        return 1

    def next(self) -> Batch:
        return self.batch


def layered_space(candidates: int) -> SearchSpace:
    """Describe a stem and four layers of so many equal candidates each."""
    registry = mp.load_plugins()
    block = Operation("block", "mbconv3d", {"kernel": 3, "expansion": 3})
    layer = OperationChoice({f"candidate{n}": block for n in range(candidates)})
    stem = Operation("block", "conv3d", {"channels": 16, "kernel": 3, "stride": 2})
    network = Group({"stem": stem, **{f"layer{n}": layer for n in range(4)}})
    return mp.compose(
        "layered",
        augment=registry.space("medpipe-augment"),
        network=SearchSpace("network", network, catalogue=registry),
    )


def one_step(candidates: int, batch: int, size: int) -> dict[str, object]:
    """Time search steps and measure the peak memory, in this process."""
    space = layered_space(candidates)
    supernet = mp.Supernet(space, in_channels=1, num_classes=2)
    searcher = GumbelSearcher(space, seed=0, steps=9, estimator="agreement")
    source = Same(batch, size)
    state = SearchState.start(supernet, searcher, source, source, settings=SETTINGS, seed=0)
    # Every size takes the same path.
    genotype = space.decide(lambda choice: choice.keys[1 if choice.path.startswith("aug") else 0])

    def step() -> None:
        decision = mp.Decision(genotype)
        take_step(state, decision, SETTINGS, nn.functional.cross_entropy, searcher.ask)

    step()
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    seconds = median(step, 1.0)
    return {
        "candidates": candidates,
        "batch": batch,
        "size": size,
        "seconds": seconds,
        "peak_mib": _status("VmHWM") - before,
        "parameters": sum(weight.numel() for weight in supernet.parameters()),
    }


def _status(name: str) -> float:
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[name].split()[0]) / 1024


def apart(threads: int, *numbers: int) -> dict[str, object]:
    """Run `one_step` in a process of its own."""
    words = [sys.executable, __file__, "--threads", str(threads), "--one", *map(str, numbers)]
    # Freed memory goes back at once, so that what a step needs is what the peak shows.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def show_spaces(rows: list[dict[str, object]]) -> None:
    names = list(rows[0]["seconds"])
    print("choices  " + "".join(f"{name:>20}" for name in names))
    for number, row in enumerate(rows):
        cells = []
        for name in names:
            cell = f"{row['seconds'][name] * 1e3:.2f} ms"
            if number:
                last = rows[number - 1]
                growth = math.log(row["seconds"][name] / last["seconds"][name])
                cell += f" ({growth / math.log(row['choices'] / last['choices']):.2f})"
            cells.append(f"{cell:>20}")
        print(f"{row['choices']:7}  " + "".join(cells))


def show_steps(rows: list[dict[str, object]]) -> None:
    print("candidates  batch  side  parameters     seconds   peak memory of a step")
    for row in rows:
        print(f"{row['candidates']:10}  {row['batch']:5}  {row['size']:4}  {row['parameters']:10}"
              f"  {row['seconds']:8.3f} s  {row['peak_mib']:8.0f} MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", choices=("space", "candidates", "volumes"))
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    if words.one:
        print(json.dumps(one_step(*words.one)))
        return
    found: dict[str, list[dict[str, object]]] = {}
    if words.part in (None, "space"):
        found["space"] = spaces()
    if words.part in (None, "candidates"):
        found["candidates"] = [apart(words.threads, count, 4, 28) for count in CANDIDATES]
    if words.part in (None, "volumes"):
        found["volumes"] = [apart(words.threads, 8, batch, size) for batch, size in VOLUMES]
    if words.json:
        print(json.dumps(found, indent=2))
        return
    for part, rows in found.items():
        (show_spaces if part == "space" else show_steps)(rows)
        print()


if __name__ == "__main__":
    main()
