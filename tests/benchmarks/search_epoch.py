"""Seconds of a search epoch, what they go to, and how far the machine's limit is.

    python tests/benchmarks/search_epoch.py [--json] [--threads 2] [--steps 6] [--width 1.0]
        [--dataset phantom3d] [--root FOLDER] [--device cuda]

The joint space, batches of 16, the look-ahead. A step trains a sampled path and looks at a
validation batch before and after. `before` is the same supernet of torch's own convolutions and
activations whose policies run layer by layer; both take the same paths by turns in one process. An
epoch is the mean step times the batches of half of the training set. The profile is of further
steps of medpipe's. With `THP_MEM_ALLOC_ENABLE=1` in the environment
both use huge pages, as `medpipe-run` does.

`limit` is the time that the multiply-adds of these steps would take at the rate of a matrix
product, measured in the same process: five passes' worth of them, three for training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import Counter
from typing import TYPE_CHECKING

import torch
from clock import add_device, named, now
from torch import nn
from training_step import in_plain_torch

import medpipe_core as mp
from medpipe_core.data import Batches, halves
from medpipe_core.search import GumbelSearcher, SearchState
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.supernet import ResourceMeter
from medpipe_core.supernet.policy import policy_from_steps

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = SearchSettings(epochs=1)
# Forward, gradient of the inputs, gradient of the weights; then two forward passes of a look.
PASSES = 5
CHANNELS = (32, 48, 64, 96, 160, 320)


class PlainSupernet(mp.Supernet):
    """The supernet in plain torch, with one pass over the batch for every layer of a policy."""

    def augment(
        self, volumes: Tensor, decision: mp.Decision, *, generator: torch.Generator | None = None
    ) -> Tensor:
        policy = policy_from_steps(self.space.resolve(decision.genotype), self.catalogue)
        source = generator or self._own_generator()
        return policy.layer_by_layer(volumes, source, decision)


class Searching:
    """A search to take single steps of, along paths that a seed draws."""

    def __init__(
        self, space: mp.SearchSpace, data: mp.LabelledVolumes, device: torch.device, *, plain: bool
    ) -> None:
        channels, classes = data.volumes.shape[1], int(data.labels.max()) + 1
        kind = PlainSupernet if plain else mp.Supernet
        supernet = kind(space, in_channels=channels, num_classes=classes)
        supernet = (in_plain_torch(supernet) if plain else supernet).to(device)
        mine, theirs = halves(data.labels, data.groups, seed=0)
        training, validation = (
            Batches(data.take(half), batch_size=16, seed=0, device=device)
            for half in (mine, theirs)
        )
        self.searcher = GumbelSearcher(space, seed=0, steps=len(training))
        self.batches, self.device = len(training), device
        self.state = SearchState.start(
            supernet, self.searcher, training, validation, settings=SETTINGS, seed=0
        )

    def step(self, genotype: mp.Genotype) -> float:
        began = now(self.device)
        outcome, problem = take_step(
            self.state,
            mp.Decision(genotype),
            SETTINGS,
            nn.functional.cross_entropy,
            self.searcher.ask,
        )
        assert not problem, problem
        self.searcher.observe(outcome)
        return now(self.device) - began


def matrix_rate(device: torch.device) -> float:
    """Return multiply-adds a second of a product as wide as the network's larger layers."""
    one, other = (torch.rand(rows, 192, device=device) for rows in (16384, 192))
    seconds = []
    for _ in range(15):
        began = now(device)
        one @ other
        seconds.append(now(device) - began)
    return one.numel() * other.shape[1] / statistics.median(seconds)


def profile(searching: Searching, genotypes: list[mp.Genotype]) -> dict[str, float]:
    """Return the share of each operator's own time, the largest first."""
    kinds = torch.profiler.ProfilerActivity
    on_gpu = searching.device.type == "cuda"
    activities = [kinds.CPU, kinds.CUDA] if on_gpu else [kinds.CPU]
    with torch.profiler.profile(activities=activities) as found:
        for genotype in genotypes:
            searching.step(genotype)
    time = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    own = Counter({row.key: getattr(row, time) for row in found.key_averages()})
    return {name: spent / own.total() for name, spent in own.most_common(12)}


def measure(words: argparse.Namespace) -> dict[str, object]:
    registry = mp.load_plugins()
    channels = [max(8, round(count * words.width)) for count in CHANNELS]
    space = registry.space(
        "medpipe-joint", network={"stem_channels": channels[0], "channels": channels}
    )
    settings = {"root": words.root} if words.root else {}
    dataset = registry.create("dataset", words.dataset, **settings)
    data, card = dataset.development().train, dataset.card
    genotypes = [space.sample(seed=seed) for seed in range(words.steps)]
    ways = {"medpipe": Searching(space, data, words.device, plain=False)}
    if not words.alone:
        ways["before"] = Searching(space, data, words.device, plain=True)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number, genotype in enumerate([genotypes[0], *genotypes]):
        for way, searching in ways.items():
            took = searching.step(genotype)
            if number:  # the first compiles, and allocates Adam's moments
                seconds[way].append(took)
    meter = ResourceMeter(
        space, size=card.size, in_channels=card.channels, num_classes=len(card.classes)
    )
    work = [16 * PASSES * meter(genotype).multiply_adds for genotype in genotypes]
    rate = matrix_rate(words.device)
    # Paths differ in what they cost, and an epoch has many of them.
    means = {way: statistics.mean(times) for way, times in seconds.items()}
    batches = ways["medpipe"].batches
    return {
        "step_s": {way: statistics.quantiles(times) for way, times in seconds.items()},
        "epoch_s": {way: batches * mean for way, mean in means.items()},
        "ratio": means.get("before", means["medpipe"]) / means["medpipe"],
        "batches": batches,
        "giga_multiply_adds_a_step": statistics.median(work) / 1e9,
        "giga_multiply_adds_a_second": rate / 1e9,
        "limit_share": sum(work) / rate / sum(seconds["medpipe"]),
        "profile": profile(ways["medpipe"], genotypes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--width", type=float, default=1.0, help="share of the paper's channels")
    parser.add_argument("--dataset", default="phantom3d")
    parser.add_argument("--root", help="folder of the dataset's files")
    parser.add_argument("--alone", action="store_true", help="medpipe only")
    add_device(parser)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    told = {"device": named(words.device), "cores": os.cpu_count(), "threads": words.threads,
            "torch": torch.__version__, "dataset": words.dataset, "width": words.width,
            **measure(words)}  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))
        return
    print(f"{told['device']}, {told['cores']} cores, {words.threads} threads, "
          f"torch {told['torch']}, {words.dataset}, width {words.width:g}, "
          f"{told['batches']} steps an epoch")  # fmt: skip
    for way, (low, middle, high) in told["step_s"].items():
        print(f"{way:8} step, median of paths {middle:.3f} s ({low:.3f}–{high:.3f}), "
              f"epoch {told['epoch_s'][way]:.1f} s")  # fmt: skip
    print(f"ratio {told['ratio']:.2f}")
    print(f"{told['giga_multiply_adds_a_step']:.1f} G multiply-adds a step; matrix product "
          f"{told['giga_multiply_adds_a_second']:.1f} G/s; limit {told['limit_share']:.0%} of the "
          "time")  # fmt: skip
    for name, share in told["profile"].items():
        print(f"  {share:6.1%}  {name}")


if __name__ == "__main__":
    main()
