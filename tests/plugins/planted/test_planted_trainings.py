"""What the planted problems state of regret is what trained networks lose."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import medpipe_core as mp

REGISTRY = mp.load_plugins()
BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem", ["side", "intensity", "symmetry", "reach", "texture", "synergy"]
)
def test_the_right_answer_beats_wrong_ones_by_about_the_regret(problem):
    known = REGISTRY.create("dataset", f"planted-{problem}")
    space = REGISTRY.space(f"planted-{problem}")
    epochs = BENCHMARK["EPOCHS"].get(problem, 30)
    every = BENCHMARK["answers"](space, known.optimum)
    # The right answer and the last wrong one of each planted choice.
    chosen = {name.split(" =")[0]: (name, genotype) for name, genotype in every.items()}
    found = {
        name: BENCHMARK["accuracy"](space, known, genotype, seed=0, epochs=epochs)
        for name, genotype in chosen.values()
    }
    assert found["optimum"] > 0.95
    for name, genotype in every.items():
        if name in found and name != "optimum":
            assert found[name] < found["optimum"] - 0.4 * known.regret(genotype)
