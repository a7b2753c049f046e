"""How well shared weights rank networks: Kendall's tau with a short training of each.

    python tests/benchmarks/rank_agreement.py [--json] [--genotypes 32] [--epochs 20]
        [--trial-epochs 6] [--seeds 3] [--threads 1] [--dataset planted-texture] [--root FOLDER]

Networks are drawn uniformly from the space, within a budget where it has one; of a planted problem
every other one is made right in what is planted, since hardly any would be by chance. Each is
trained from fresh weights on half of the training set, with the augmentation of its genotype if it
has one; then supernets are trained on the same half, and score the same networks. Both scores are
of the other half and the validation set. A supernet is trained along paths that are drawn

- `uniform`: every key independently;
- `fair`: every key of a choice once before any comes again (Chu et al., "FairNAS", ICCV 2021);

for `--epochs`, and for three times as many (`longer`). Its batch-norm statistics are a mixture of
all paths (`mixed`), or estimated anew for each network on the training half (`renewed`, what a run
does). The interval is a 95 % percentile bootstrap over the networks, the median over the seeds of
the supernet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import nn

import medpipe_core as mp
from medpipe_core.data import Batches, halves
from medpipe_core.search import RandomSearcher, SearchState
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step
from medpipe_core.supernet import ResourceMeter, build_network, build_policy
from medpipe_core.train import ClassificationTask, FitSettings, FitState, fit, predict, recalibrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CPU = torch.device("cpu")
# A reduced width, so that thirty networks can be trained on a CPU.
SMALL = {
    "stem_channels": 8,
    "channels": [8, 16, 16, 32, 32, 64],
    "depths": [1, 1, 1, 1, 1, 1],
    "residual": True,
    "budget": {"multiply_adds": 6_000_000},
}
LONGER = 3
LR = 3e-3


def uniform(space: mp.SearchSpace, seed: int) -> Iterator[dict[str, str]]:
    """Yield keys for all choices, each drawn independently."""
    rng = random.Random(seed)
    while True:
        yield {path: rng.choice(choice.keys) for path, choice in space.choices.items()}


def fair(space: mp.SearchSpace, seed: int) -> Iterator[dict[str, str]]:
    """Yield keys for all choices, each in rounds that have every key once."""
    rng = random.Random(seed)
    left: dict[str, list[str]] = {path: [] for path in space.choices}
    while True:
        for path, keys in left.items():
            if not keys:
                keys += rng.sample(space.choices[path].keys, len(space.choices[path].keys))
        yield {path: keys.pop() for path, keys in left.items()}


WAYS: dict[str, tuple[Callable[..., Iterator[dict[str, str]]], int]] = {
    "uniform": (uniform, 1),
    "fair": (fair, 1),
    "uniform, longer": (uniform, LONGER),
    "fair, longer": (fair, LONGER),
}


class Ranking:
    """A space, a dataset's development part, and what both rankings share."""

    def __init__(self, words: argparse.Namespace) -> None:
        registry = mp.load_plugins()
        settings = {"root": words.root} if words.root else {}
        dataset = registry.create("dataset", words.dataset, **settings)
        planted = words.dataset.startswith("planted-")
        self.space = (
            registry.space(words.dataset)
            if planted
            else registry.space("medpipe-mbconv3d", **SMALL)
        )
        development, self.card = dataset.development(), dataset.card
        self.shape = {"in_channels": self.card.channels, "num_classes": len(self.card.classes)}
        mine, theirs = halves(development.train.labels, development.train.groups, seed=0)
        self.weights_half, self.other_half = (development.train.take(x) for x in (mine, theirs))
        self.unseen = self.other_half.join(development.validation)
        self.task = ClassificationTask(self.card.classes, rank_by="auc")
        meter = ResourceMeter(self.space, size=self.card.size, **self.shape)
        drawn: dict[mp.Genotype, None] = {}
        seed, right = 0, getattr(dataset, "optimum", {})
        while len(drawn) < words.genotypes:
            choices = dict(self.space.sample(seed=seed).choices)
            if seed % 2:
                choices |= {path: min(keys) for path, keys in right.items()}
            genotype = self.space.decide(lambda choice, keys=choices: keys[choice.path])
            seed += 1
            if self.space.admits(genotype) and meter.admits(genotype):
                drawn[self.space.canonical(genotype)] = None
        self.genotypes, self.admits = list(drawn), meter.admits

    def score(self, network: nn.Module) -> float:
        figures = self.task.figures(
            predict(network, self.unseen, task=self.task), self.unseen.labels
        )
        return self.task.score(figures)

    def trained(self, genotype: mp.Genotype, epochs: int) -> float:
        """Return the score after a training of its own."""
        settings = FitSettings(epochs=epochs, lr=LR)
        network = build_network(self.space, genotype, seed=0, **self.shape)
        state = FitState.start(network, self.weights_half, settings=settings, seed=0, device=CPU)
        augment = build_policy(self.space, genotype)
        return self.score(fit(state, settings=settings, task=self.task, augment=augment))

    def supernet(self, way: str, epochs: int, seed: int) -> mp.Supernet:
        """Train shared weights along paths that are drawn in one of the ways."""
        paths, times = WAYS[way]
        supernet = mp.Supernet(self.space, seed=seed, **self.shape)
        training = Batches(self.weights_half, batch_size=16, seed=seed, device=CPU)
        settings = SearchSettings(epochs=1, weights_lr=LR)
        nobody = RandomSearcher(self.space, seed=seed, steps=0, admit=self.admits)
        state = SearchState.start(
            supernet, nobody, training, training, settings=settings, seed=seed
        )
        drawn = paths(self.space, seed)

        def member() -> mp.Genotype:
            keys = next(drawn)
            return self.space.decide(lambda choice: keys[choice.path])

        for _ in range(times * epochs * len(training)):
            decision = mp.Decision(nobody.admitted(member))
            _, problem = take_step(state, decision, settings, nn.functional.cross_entropy)
            assert not problem, problem
            state.step += 1
        return supernet

    def shared(self, supernet: mp.Supernet, genotype: mp.Genotype, *, renewed: bool) -> float:
        """Return the score with a supernet's weights."""
        network = supernet.freeze(genotype)
        if renewed:
            batches = Batches(self.weights_half, batch_size=16, seed=0, device=CPU)
            recalibrate(network, (batches.next() for _ in range(8)))
        return self.score(network)


def interval(one: list[float], other: list[float]) -> tuple[float, float]:
    """Return a 95 % percentile bootstrap of tau over the networks."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        rows = rng.integers(0, len(one), len(one))
        found.append(kendalltau(np.take(one, rows), np.take(other, rows)).statistic)
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return float(low), float(high)


def measure(words: argparse.Namespace) -> dict[str, object]:
    ranking = Ranking(words)
    began = time.perf_counter()
    truth = [ranking.trained(g, words.trial_epochs) for g in ranking.genotypes]
    trained_s = time.perf_counter() - began
    rows = []
    for way in WAYS:
        taus: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
        began = time.perf_counter()
        for seed in range(words.seeds):
            supernet = ranking.supernet(way, words.epochs, seed)
            for renewed in taus:
                scores = [ranking.shared(supernet, g, renewed=renewed) for g in ranking.genotypes]
                taus[renewed].append(
                    (float(kendalltau(scores, truth).statistic), *interval(scores, truth))
                )
        seconds = (time.perf_counter() - began) / words.seeds
        for renewed, found in taus.items():
            rows.append(
                {
                    "paths": way,
                    "statistics": "renewed" if renewed else "mixed",
                    "tau": statistics.median(row[0] for row in found),
                    "tau_of_seeds": [row[0] for row in found],
                    "low": statistics.median(row[1] for row in found),
                    "high": statistics.median(row[2] for row in found),
                    "seconds": seconds,
                }
            )
    return {
        "networks": len(truth),
        "trained_scores": statistics.quantiles(truth),
        "trained_s": trained_s,
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dataset", default="planted-texture")
    parser.add_argument("--root", help="folder of the dataset's files")
    parser.add_argument("--genotypes", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20, help="of the shared weights")
    parser.add_argument("--trial-epochs", type=int, default=6, help="of a network alone")
    parser.add_argument("--seeds", type=int, default=3, help="of the supernet")
    parser.add_argument("--threads", type=int, default=1)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    told = {"cores": os.cpu_count(), "threads": words.threads, "torch": torch.__version__,
            "dataset": words.dataset, **measure(words)}  # fmt: skip
    if words.json:
        print(json.dumps(told, indent=2))
        return
    low, middle, high = told["trained_scores"]
    print(f"{told['dataset']}: {told['networks']} networks, area under the ROC curve after "
          f"training {middle:.3f} ({low:.3f}–{high:.3f}), {told['trained_s']:.0f} s")  # fmt: skip
    for row in told["rows"]:
        seeds = ", ".join(f"{tau:.2f}" for tau in row["tau_of_seeds"])
        print(f"{row['paths']:16} {row['statistics']:8} tau {row['tau']:5.2f} "
              f"({row['low']:.2f} to {row['high']:.2f})  seeds {seeds}  "
              f"{row['seconds']:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
