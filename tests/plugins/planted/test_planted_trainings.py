"""What the planted problems state of regret is what trained networks lose."""

from __future__ import annotations

import runpy
import statistics
from pathlib import Path

import pytest

import medpipe_core as mp

REGISTRY = mp.load_plugins()
SEEDS = {"symmetry": 3}  # its regret is small beside what a seed changes
# Its accuracy grows for hundreds of epochs; the differences are there from the start.
ENOUGH = {"symmetry": 0.75}
BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


@pytest.mark.slow
@pytest.mark.parametrize("problem", BENCHMARK["PROBLEMS"])
def test_the_right_answer_beats_wrong_ones_by_about_the_regret(problem):
    data = [
        REGISTRY.create("dataset", f"planted-{problem}", seed=seed)
        for seed in range(SEEDS.get(problem, 1))
    ]
    known = data[0]
    space = REGISTRY.space(f"planted-{problem}")
    epochs = BENCHMARK["EPOCHS"].get(problem, 30)
    every = BENCHMARK["answers"](space, known.optimum)
    # The right answer and the last wrong one of each planted choice.
    chosen = {name.split(" =")[0]: (name, genotype) for name, genotype in every.items()}
    found = {
        name: statistics.median(
            BENCHMARK["accuracy"](space, made, genotype, seed=seed, epochs=epochs)
            for seed, made in enumerate(data)
        )
        for name, genotype in chosen.values()
    }
    assert found["optimum"] > ENOUGH.get(problem, 0.9)
    for name, genotype in every.items():
        if name in found and name != "optimum":
            assert found[name] < found["optimum"] - 0.4 * known.regret(genotype)
