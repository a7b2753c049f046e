"""Planted problems by brute force: networks trained with the right answer and with each wrong one.

    python tests/benchmarks/planted.py [--json] [--problem side …] [--seeds 3] [--epochs 30]
        [--others 5]

Every planted choice in turn takes each key that is not right, everything else being right; the
networks are trained from fresh weights and tested on clean volumes. `stated` is one minus the
regret that the dataset states, `accuracy` what was found, median and range over the seeds.
`--others` adds right answers whose other choices are drawn, which must do as well as the optimum.
"""

from __future__ import annotations

import argparse
import json
import statistics

import torch

import medpipe_core as mp
from medpipe_core.supernet import build_network, build_policy
from medpipe_core.train import ClassificationTask, FitState, fit, predict
from medpipe_core.train.settings import FitSettings

PROBLEMS = (
    "side", "intensity", "symmetry", "reach", "texture", "synergy", "handed", "mixed", "turn",
)  # fmt: skip
# Steps differ by the number of volumes, so the number of epochs does.
EPOCHS = {"symmetry": 60, "mixed": 120, "turn": 120, "reach": 8, "texture": 8}


def answers(space: mp.SearchSpace, optimum: dict[str, frozenset[str]]) -> dict[str, mp.Genotype]:
    """Return the right answer and each that is wrong in one planted choice, by what is wrong."""

    def member(**keys: str) -> mp.Genotype:
        right = {path: sorted(keys_of)[0] for path, keys_of in optimum.items()}
        return space.decide(lambda c: {**right, **keys}.get(c.path, c.keys[-1]))

    found = {"optimum": member()}
    for path, keys in optimum.items():
        for key in space.choices[path].keys:
            genotype = member(**{path: key})
            if key not in keys and space.admits(genotype):
                found[f"{path} = {key}"] = genotype
    return found


def right_answers(
    space: mp.SearchSpace, optimum: dict[str, frozenset[str]], count: int
) -> dict[str, mp.Genotype]:
    """Return distinct members that are right in all that is planted, drawn in the rest."""
    found: dict[str, mp.Genotype] = {}
    for seed in range(20 * count):
        drawn = space.sample(seed=seed)
        right = {path: sorted(keys)[0] for path, keys in optimum.items()}
        genotype = space.decide(lambda c, keys={**drawn.choices, **right}: keys[c.path])
        if len(found) < count and space.admits(genotype) and genotype not in found.values():
            found[f"right, others drawn ({len(found) + 1})"] = genotype
    return found


def accuracy(
    space: mp.SearchSpace, dataset: object, genotype: mp.Genotype, *, seed: int, epochs: int
) -> float:
    """Train a genotype's network from fresh weights; return its accuracy on clean test volumes."""
    development, card = dataset.development(), dataset.card
    settings = FitSettings(epochs=epochs, lr=6e-3)
    network = build_network(space, genotype, in_channels=1, num_classes=2, seed=seed)
    state = FitState.start(
        network, development.train, settings=settings, seed=seed, device=torch.device("cpu")
    )
    task = ClassificationTask(card.classes)
    trained = fit(state, settings=settings, task=task, augment=build_policy(space, genotype))
    test = dataset.sealed_test().open(after=genotype.digest)
    return task.figures(predict(trained, test, task=task), test.labels)["accuracy"]


def measure(
    problem: str, seeds: int, epochs: int | None, others: int = 0
) -> list[dict[str, object]]:
    registry = mp.load_plugins()
    space = registry.space(f"planted-{problem}")
    known = registry.create("dataset", f"planted-{problem}")
    rows = []
    every = answers(space, known.optimum) | right_answers(space, known.optimum, others)
    for name, genotype in every.items():
        found = [
            accuracy(
                space,
                registry.create("dataset", f"planted-{problem}", seed=seed),
                genotype,
                seed=seed,
                epochs=epochs or EPOCHS.get(problem, 30),
            )
            for seed in range(seeds)
        ]
        rows.append(
            {
                "problem": problem,
                "answer": name,
                "stated": 1 - known.regret(genotype),
                "accuracy": statistics.median(found),
                "range": [min(found), max(found)],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--problem", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--others", type=int, default=0)
    words = parser.parse_args()
    torch.set_num_threads(1)
    told = []
    for problem in words.problem:
        for row in measure(problem, words.seeds, words.epochs, words.others):
            told.append(row)
            if not words.json:
                low, high = row["range"]
                print(
                    f"{problem:10} {row['answer']:36} stated {row['stated']:.2f}  "
                    f"accuracy {row['accuracy']:.2f} ({low:.2f}–{high:.2f})",
                    flush=True,
                )
    if words.json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
