"""Estimators of the gradient of θ beside the truth, by enumeration: bias, variance and cost.

    python tests/benchmarks/estimators.py [--json] [--seeds 4] [--warm 150] [--draws 12]

A bright blob lies above a dark one or below it: V-flip and inversion destroy the label, H-flip does
not. Three augmentations with p in {0, 0.5, 0.8} and a layer of two candidates make 54 genotypes.
Some steps train the shared weights along random paths; from there each genotype takes one step,
several times, on the same batches. With all genotypes enumerated at uniform θ this gives the exact
gradient of

- for augmentations: the expected loss of a clean validation batch after the step;
- for the network: the expected loss of that batch before the step;

and the exact expectation of each estimator. `cosine` between the two tells the bias (1 is none, 0
is no better than chance); `steps` is variance over squared mean, the number of steps whose mean has
as much signal as noise; `cost` is the time of a step, in steps that only train.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import medpipe_core as mp
from medpipe_core import Decision, Group, Operation, OperationChoice, SearchSpace
from medpipe_core.data import Batches, LabelledVolumes
from medpipe_core.search import (
    AGREEMENT,
    CLEAN_VALIDATION,
    GATE_GRADIENTS,
    LOOK_AHEAD,
    VALIDATION_LOSS,
    Outcome,
    Sample,
    SearchState,
    asking_for,
)
from medpipe_core.search.gumbel import GumbelSearcher, gumbel_noise, straight_through
from medpipe_core.search.registered_estimator import make_estimator
from medpipe_core.search.settings import SearchSettings
from medpipe_core.search.step import take_step

ESTIMATORS = ("gate", "score", "agreement", "look-ahead")
AUGMENTED = frozenset({GATE_GRADIENTS, VALIDATION_LOSS})
CLEAN = frozenset({CLEAN_VALIDATION, AGREEMENT, LOOK_AHEAD})
SETTINGS = SearchSettings(epochs=1, weights_lr=3e-3)
SIZE = 12
loss = nn.functional.cross_entropy


def volumes(count: int, seed: int) -> LabelledVolumes:
    """Make volumes with a bright and a dark blob, one above the other."""
    rng = np.random.default_rng(seed)
    axes = np.mgrid[:SIZE, :SIZE, :SIZE]
    labels = rng.integers(0, 2, count)
    made = rng.normal(0.5, 0.08, (count, 1, SIZE, SIZE, SIZE))
    for volume, label in zip(made[:, 0], labels, strict=True):
        heights = (3, 8) if label else (8, 3)
        place = rng.uniform(3, SIZE - 4, 3)
        for height, sign in zip(heights, (0.4, -0.4), strict=True):
            place[1] = height + rng.normal(0, 0.5)
            offsets = axes - place[:, None, None, None]
            volume += sign * np.exp(-(offsets**2).sum(0) / 5)
    return LabelledVolumes((made.clip(0, 1) * 255).astype(np.uint8), labels, None)


def small_space() -> SearchSpace:
    """Describe three augmentations and a network with one choice: 54 genotypes."""
    registry = mp.load_plugins()
    augment = registry.space("medpipe-augment", layers=["v_flip", "h_flip"])
    p = mp.ValueChoice(0.0, 0.5, 0.8)
    invert = Operation("augmentation", "invert", {"max_value": 1.0, "p": p}, neutral={"p": 0.0})
    stem = {"channels": 8, "kernel": 3, "stride": 2}
    network = Group(
        {
            "stem": Operation("block", "conv3d", stem),
            "layer": OperationChoice(
                {
                    "mbconv": Operation("block", "mbconv3d", {"kernel": 3, "expansion": 2}),
                    "identity": Operation("block", "identity", {}),
                }
            ),
            "last": Operation("block", "conv3d", {**stem, "channels": 16}),
        }
    )
    return mp.compose(
        "small",
        augment=augment,
        more=SearchSpace("more", Group({"invert": invert}), catalogue=registry),
        network=SearchSpace("network", network, catalogue=registry),
    )


class Held:
    """A search whose weights, moments and batches can be put back where they were."""

    def __init__(self, space: SearchSpace, seed: int, warm: int) -> None:
        self.space = space
        supernet = mp.Supernet(space, in_channels=1, num_classes=2, seed=seed)
        searcher = GumbelSearcher(space, seed=seed, steps=warm)
        training = Batches(volumes(64, 2 * seed), batch_size=32, seed=seed, device="cpu")
        validation = Batches(volumes(32, 2 * seed + 1), batch_size=32, seed=seed, device="cpu")
        self.state = SearchState.start(
            supernet, searcher, training, validation, settings=SETTINGS, seed=seed
        )
        for step in range(warm):
            take_step(self.state, searcher.decide(step), SETTINGS, loss)
        self._saved = copy.deepcopy(self.state.state_dict())

    def outcome(self, genotype: mp.Genotype, needs: frozenset[str]) -> tuple[Outcome, float]:
        """Take one step from where the weights are held; return what came of it, and its time."""
        generator = self.state.generator.get_state()  # draws go on
        self.state.load_state_dict(self._saved)
        self.state.generator.set_state(generator)
        gates = {path: torch.ones((), requires_grad=True) for path in genotype}
        began = time.perf_counter()
        found, problem = take_step(
            self.state, Decision(genotype, gates), SETTINGS, loss, asking_for(needs)
        )
        assert not problem, problem
        return found, time.perf_counter() - began


@dataclass
class Table:
    """Outcomes of every genotype, several for each."""

    augmented: dict[mp.Genotype, list[Outcome]]
    clean: dict[mp.Genotype, list[Outcome]]
    seconds: dict[str, float]


def enumerate_outcomes(held: Held, draws: int) -> Table:
    """Let every genotype take steps, and time each kind of step."""
    genotypes = [held.space.unrank(number) for number in range(held.space.size())]
    kinds = {"train": frozenset(), "gate": frozenset({GATE_GRADIENTS}), "augmented": AUGMENTED,
             "score": frozenset({VALIDATION_LOSS}),
             "agreement": frozenset({CLEAN_VALIDATION, AGREEMENT}),
             "look-ahead": frozenset({CLEAN_VALIDATION, LOOK_AHEAD}), "clean": CLEAN}  # fmt: skip
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    found: dict[str, dict[mp.Genotype, list[Outcome]]] = {kind: {} for kind in kinds}
    for genotype in genotypes:
        for kind, needs in kinds.items():
            repeats = draws if kind in ("augmented", "clean") else 2
            results = [held.outcome(genotype, needs) for _ in range(repeats)]
            found[kind][genotype] = [outcome for outcome, _ in results]
            times[kind] += [seconds for _, seconds in results]
    seconds = {kind: statistics.median(values) for kind, values in times.items()}
    return Table(found["augmented"], found["clean"], seconds)


def gradient_of(space: SearchSpace, objective: dict[mp.Genotype, float]) -> dict[str, np.ndarray]:
    """Return the gradient of a mean over genotypes with respect to θ, at uniform θ."""
    values = np.array(list(objective.values()))
    found = {}
    for path, choice in space.choices.items():
        taken = np.array([choice.keys.index(genotype[path]) for genotype in objective])
        means = np.array([values[taken == key].mean() for key in range(len(choice.keys))])
        found[path] = (means - values.mean()) / len(choice.keys)
    return found


def gradients(
    space: SearchSpace, name: str, outcomes: dict[mp.Genotype, list[Outcome]], seed: int
) -> list[dict[str, np.ndarray]]:
    """Return an estimator's gradient for every outcome; the gate's with fresh Gumbel noise each."""
    generator = torch.Generator().manual_seed(seed)
    every = [outcome for row in outcomes.values() for outcome in row]
    estimator = make_estimator(name, space)
    if name != "gate":
        field = {"agreement": "agreement", "look-ahead": "improvement"}.get(name)
        rewards = {"validation": [-outcome.validation_loss for outcome in every]}
        rewards["worth"] = [getattr(outcome, field) for outcome in every] if field else [0.0, 1.0]
        estimator.load_state_dict(
            {
                key: {"count": 10**9, "mean": np.mean(row), "square": np.var(row)}
                for key, row in rewards.items()
            }
        )
    saved = estimator.state_dict()
    found = []
    for outcome in every:
        theta = {p: torch.zeros(len(c.keys), requires_grad=True) for p, c in space.choices.items()}
        keys = {p: space.choices[p].keys.index(outcome.genotype[p]) for p in theta}
        log_p = {p: torch.log_softmax(t, 0)[keys[p]] for p, t in theta.items()}
        gates = {p: straight_through(t, _noise(len(t), keys[p], generator), 1.0, keys[p])
                 for p, t in theta.items()}  # fmt: skip
        estimator.load_state_dict(saved)
        surrogate = estimator.surrogate(Sample(outcome.genotype, gates, log_p), outcome)
        surrogate.backward()
        found.append(
            {p: np.zeros(len(t)) if t.grad is None else t.grad.numpy() for p, t in theta.items()}
        )
    return found


def _noise(count: int, largest: int, generator: torch.Generator) -> torch.Tensor:
    """Draw Gumbel noise given which entry is the largest."""
    noise = gumbel_noise(count, generator)
    where = int(noise.argmax())
    noise[[where, largest]] = noise[[largest, where]]
    return noise


def against(truth: dict[str, np.ndarray], found: list[dict[str, np.ndarray]], part: str) -> tuple:
    """Return the cosine of the mean with the truth, and the variance over the squared mean."""
    paths = [path for path in truth if path.startswith("network/") == (part == "network")]
    true = np.concatenate([truth[path] for path in paths])
    rows = np.stack([np.concatenate([row[path] for path in paths]) for row in found])
    mean = rows.mean(0)
    size = np.linalg.norm(mean)
    if size < 1e-12:
        return float("nan"), float("inf")
    cosine = float(mean @ true / size / np.linalg.norm(true))
    return cosine, float(rows.var(0).sum() / size**2)


def measure(seed: int, warm: int, draws: int) -> list[dict[str, object]]:
    space = small_space()
    table = enumerate_outcomes(Held(space, seed, warm), draws)
    halves = [
        {g: row[part] for g, row in table.clean.items()}
        for part in (slice(0, None, 2), slice(1, None, 2))
    ]
    # Truth and estimators see different draws of the augmentations.
    after = {g: np.mean([o.validation_loss - o.improvement for o in row])
             for g, row in halves[0].items()}  # fmt: skip
    before = {g: np.mean([o.validation_loss for o in row]) for g, row in halves[0].items()}
    truth = {
        **gradient_of(space, after),
        "network/layer": gradient_of(space, before)["network/layer"],
    }
    rows = []
    for name in ESTIMATORS:
        outcomes = table.augmented if name in ("gate", "score") else halves[1]
        found = gradients(space, name, outcomes, seed)
        row = {"estimator": name, "seed": seed, "warm": warm}
        for part in ("augment", "network"):
            row[f"{part}_cosine"], row[f"{part}_steps"] = against(truth, found, part)
        row["cost"] = table.seconds[name] / table.seconds["train"]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--warm", type=int, nargs="+", default=[50, 150, 400])
    parser.add_argument("--draws", type=int, default=12)
    words = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        row
        for warm in words.warm
        for seed in range(words.seeds)
        for row in measure(seed, warm, words.draws)
    ]
    if words.json:
        print(json.dumps(rows, indent=2))
        return
    figures = ("augment_cosine", "augment_steps", "network_cosine", "network_steps", "cost")
    print("warm  estimator   " + "  ".join(f"{figure:>22}" for figure in figures))
    for warm in words.warm:
        for name in ESTIMATORS:
            mine = [row for row in rows if (row["estimator"], row["warm"]) == (name, warm)]
            cells = []
            for figure in figures:
                values = [row[figure] for row in mine]
                cells.append(f"{np.median(values):8.2f} ({min(values):.2f}–{max(values):.2f})")
            print(f"{warm:4}  {name:10}  " + "  ".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
