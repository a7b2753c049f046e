"""A search step beside the two training steps of a frozen network that it consists of.

    python tests/benchmarks/search_step.py [--json] [--threads 2] [--genotypes 3] [--rounds 3]

The joint space at the paper's widths. A search step trains a sampled path on one batch and tells
the searcher what a second batch says; a frozen step is forward, backward and Adam on the same
path's frozen network with the same augmentation. Both run by turns in one process. Peak memory is
each one's own, in a process of its own (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

import medpipe_core as mp
from medpipe_core import Decision
from medpipe_core.data import Batch
from medpipe_core.search import GumbelSearcher, SearchState
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.supernet import build_policy

ESTIMATORS = ("gate", "agreement", "look-ahead")
SETTINGS = SearchSettings(epochs=1)
loss = nn.functional.cross_entropy


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


class Searching:
    """A search, to take single steps of along given paths."""

    def __init__(self, space: mp.SearchSpace, estimator: str, batch: int, size: int) -> None:
        supernet = mp.Supernet(space, in_channels=1, num_classes=2)
        self.searcher = GumbelSearcher(space, seed=0, steps=1, estimator=estimator)
        source = Same(batch, size)
        self.state = SearchState.start(
            supernet, self.searcher, source, source, settings=SETTINGS, seed=0
        )

    def step(self, genotype: mp.Genotype) -> None:
        gates = {path: torch.ones((), requires_grad=True) for path in genotype}
        outcome, problem = take_step(
            self.state, Decision(genotype, gates), SETTINGS, loss, self.searcher.ask
        )
        assert not problem, problem
        self.searcher.observe(outcome)


class Frozen:
    """The training of one path's frozen network."""

    def __init__(self, searching: Searching, genotype: mp.Genotype) -> None:
        self.network = searching.state.supernet.freeze(genotype).train()
        self.policy = build_policy(searching.state.supernet.space, genotype)
        self.batch = searching.state.training.next()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=3e-4, fused=True)
        self.generator = torch.Generator().manual_seed(0)

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        logits = self.network(self.policy(self.batch.volumes, self.generator))
        loss(logits, self.batch.labels).backward()
        self.optimiser.step()


def seconds(step: object, *words: object) -> float:
    began = time.perf_counter()
    step(*words)
    return time.perf_counter() - began


def compare(words: argparse.Namespace) -> list[dict[str, object]]:
    """Time both by turns along a few genotypes; ratios are medians over genotypes and rounds."""
    space = mp.load_plugins().space("medpipe-joint")
    rows = []
    for estimator in ESTIMATORS:
        searching = Searching(space, estimator, words.batch, words.size)
        pairs = []
        for seed in range(words.genotypes):
            genotype = space.sample(seed=seed)
            frozen = Frozen(searching, genotype)
            for turn in range(words.rounds + 1):
                search = seconds(searching.step, genotype)
                two = seconds(frozen.step) + seconds(frozen.step)
                if turn:
                    pairs.append((search, two))
        low, ratio, high = statistics.quantiles(search / two for search, two in pairs)
        rows.append(
            {
                "estimator": estimator,
                "search_s": statistics.median(search for search, _ in pairs),
                "two_frozen_s": statistics.median(two for _, two in pairs),
                "ratio": ratio,
                "ratio_quartiles": [low, high],
            }
        )
    return rows


def peak(words: argparse.Namespace) -> float:
    """Return by how many MiB a step of this process raises its memory, supernet included."""
    space = mp.load_plugins().space("medpipe-joint")
    genotype = space.sample(seed=0)
    before = _status("VmRSS")
    searching = Searching(space, words.peak.removesuffix("+frozen"), words.batch, words.size)
    step = searching.step
    arguments: tuple[object, ...] = (genotype,)
    if words.peak.endswith("+frozen"):
        step, arguments = Frozen(searching, genotype).step, ()
    step(*arguments)  # compiles, allocates Adam's moments
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    step(*arguments)
    return _status("VmHWM") - before


def _status(name: str) -> float:
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[name].split()[0]) / 1024


def memory(words: argparse.Namespace, of: str) -> float:
    command = [sys.executable, __file__, "--peak", of, "--batch", str(words.batch)]
    command += ["--size", str(words.size), "--threads", str(words.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--genotypes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    if words.peak:
        print(peak(words))
        return
    told = {"cores": os.cpu_count(), "threads": words.threads, "torch": torch.__version__,
            "batch": words.batch, "size": words.size, "rows": []}  # fmt: skip
    # The frozen step beside a supernet that lies idle: the path plus all parameters.
    floor = memory(words, "gate+frozen")
    for row in compare(words):
        row["peak_mib"] = memory(words, row["estimator"])
        row["frozen_peak_mib"] = floor
        row["peak_ratio"] = row["peak_mib"] / floor
        told["rows"].append(row)
    if words.json:
        print(json.dumps(told, indent=2))
        return
    print(f"{told['cores']} cores, {words.threads} threads, torch {told['torch']}, "
          f"batch {words.batch}, {words.size}³")  # fmt: skip
    print("estimator   search step  two frozen  ratio (quartiles)   peak      frozen    ratio")
    for row in told["rows"]:
        low, high = row["ratio_quartiles"]
        print(f"{row['estimator']:11} {row['search_s']:8.2f} s  {row['two_frozen_s']:8.2f} s  "
              f"{row['ratio']:.2f} ({low:.2f}–{high:.2f})   {row['peak_mib']:.0f} MiB  "
              f"{row['frozen_peak_mib']:.0f} MiB  {row['peak_ratio']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
