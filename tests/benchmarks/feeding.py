"""Feeding: batches held, read ahead, and gathered one volume at a time; steps in half precision.

    python tests/benchmarks/feeding.py [--json] [--threads 1] [--count 512] [--size 64]
        [--rounds 40]

A memory-mapped file of uint8 volumes, and a cache of the same as `data.cache` makes; `work` stands
for a training step between two batches, a convolution on the batch. By turns in one process:
`held` has read the file into memory, `read ahead` gathers the next two batches in a thread, `cache`
does so from a file for each volume, `one by one` is a loop over volumes as a data set of single
items has it. Seconds are of a batch and its work together, and `work` alone.
Peak memory is each one's own beyond what the process had before, in a process of its own (Linux).

A training step in float32 beside bfloat16 and float16 follows, of a small MBConv3D network.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medpipe_core.computing import Computing
from medpipe_core.data import Batches, CachedVolumes, LabelledVolumes, StoredVolumes, VolumeCache
from medpipe_core.seeding import seeded_init
from medpipe_plugins.blocks3d import Conv3DBlock, MBConv3D

WAYS = ("held", "read ahead", "cache", "one by one")
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
BATCH = 16


class OneByOne:
    """Reads volumes one after the other, and stacks them."""

    def __init__(self, data: LabelledVolumes) -> None:
        self._data = data
        self._rng = np.random.default_rng(0)

    def next(self) -> torch.Tensor:
        chosen = self._rng.permutation(len(self._data))[:BATCH]
        each = [torch.from_numpy(self._data.volumes[i]).float() / 255 for i in chosen]
        return torch.stack(each)


class Source:
    """One way to feed."""

    def __init__(self, way: str, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        volumes = cached(mapped, path.with_name("cache")) if way == "cache" else mapped
        data = LabelledVolumes(volumes, np.arange(len(mapped)) % 2)
        if way == "one by one":
            self.next = OneByOne(data).next
            return
        hold = "device" if way == "held" else "host"
        batches = Batches(data, batch_size=BATCH, seed=0, device="cpu", hold=hold)
        self.next = lambda: batches.next().volumes


def cached(mapped: np.ndarray, folder: Path) -> StoredVolumes:
    """Return the volumes from a cache, put there the first time."""
    cache = VolumeCache(folder, 2**40)
    keys = [f"{row % 256:02x}{row:062x}" for row in range(len(mapped))]
    for key, volume in zip(keys, mapped, strict=True):
        if cache.read(key) is None:
            cache.put(key, volume, {})
    rows = CachedVolumes(cache, keys, mapped.__getitem__, mapped.shape[1:], mapped.dtype)
    return StoredVolumes([rows])


def feeding(path: Path, words: argparse.Namespace) -> list[dict[str, object]]:
    work = nn.Conv3d(1, words.work, 3, bias=False)
    sources = {way: Source(way, path) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in (*WAYS, "work")}
    with torch.no_grad():
        for turn in range(words.rounds + 3):
            for way, source in sources.items():
                began = time.perf_counter()
                volumes = source.next()
                fed = time.perf_counter()
                work(volumes)
                if turn >= 3:
                    seconds[way].append(time.perf_counter() - began)
                    seconds["work"].append(time.perf_counter() - fed)
    return [
        {
            "way": way,
            "seconds": statistics.quantiles(seconds[way]),
            "peak_mib": memory(way, path, words) if way in WAYS else None,
        }
        for way in (*WAYS, "work")
    ]


def peak(way: str, path: Path) -> float:
    """Return by how many MiB feeding an epoch raises this process's memory.

    Pages of the file that the system keeps in its cache are not counted: they are given up when
    somebody needs memory.
    """
    before = _anonymous()
    source, most = Source(way, path), 0.0
    for _ in range(len(np.load(path, mmap_mode="r")) // BATCH):
        source.next()
        most = max(most, _anonymous() - before)
    return most


def _anonymous() -> float:
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["RssAnon"].split()[0]) / 1024


def memory(way: str, path: Path, words: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--peak", way, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def precision(words: argparse.Namespace) -> list[dict[str, object]]:
    """Time training steps in each precision by turns."""
    with seeded_init(0):
        network = nn.Sequential(
            Conv3DBlock(1, channels=32, kernel=3, stride=2),
            MBConv3D(32, kernel=5, expansion=3),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(32, 2),
        )
    volumes, labels = torch.rand(BATCH, 1, 28, 28, 28), torch.arange(BATCH) % 2
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in PRECISIONS}
    for turn in range(words.rounds // 4 + 1):
        for dtype in PRECISIONS:
            computing = Computing(torch.device("cpu"), dtype)
            began = time.perf_counter()
            with computing.autocast():
                logits = network(volumes)
            nn.functional.cross_entropy(logits.float(), labels).backward()
            if turn:
                seconds[dtype].append(time.perf_counter() - began)
    return [
        {"dtype": str(dtype).removeprefix("torch."), "seconds": statistics.quantiles(values)}
        for dtype, values in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=512, help="volumes in the file")
    parser.add_argument("--size", type=int, default=64, help="their edge, in voxels")
    parser.add_argument("--work", type=int, default=2, help="channels of the convolution")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    if words.peak:
        print(peak(words.peak[0], Path(words.peak[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volumes.npy"
        shape = (words.count, 1, words.size, words.size, words.size)
        np.save(path, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        told = {"cores": os.cpu_count(), "threads": words.threads, "torch": torch.__version__,
                "file_mib": path.stat().st_size / 2**20, "feeding": feeding(path, words),
                "precision": precision(words)}  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))
        return
    print(f"{told['cores']} cores, {words.threads} threads, torch {told['torch']}, "
          f"batches of {BATCH} × {words.size}³ from {told['file_mib']:.0f} MiB")  # fmt: skip
    for row in told["feeding"]:
        low, middle, high = (1e3 * value for value in row["seconds"])
        beside = "" if row["peak_mib"] is None else f"  peak {row['peak_mib']:.0f} MiB"
        print(f"{row['way']:12} {middle:7.1f} ms ({low:.1f}–{high:.1f}){beside}")
    for row in told["precision"]:
        low, middle, high = (1e3 * value for value in row["seconds"])
        print(f"step in {row['dtype']:9} {middle:7.1f} ms ({low:.1f}–{high:.1f})")


if __name__ == "__main__":
    main()
