"""What a race among policies would have chosen, replayed from the full trainings of `horizon.py`.

    python tests/benchmarks/horizon_race.py docs/measured/horizon.jsonl [--draws 4000]
        [--without "all middle"]

The policies that begin are drawn from those measured; all ways but the last two have 360 epochs or
a little less to spend on them. A way sees the area under the ROC curve on one half of the volumes
for judging; its regret is what the policy it ends with falls short of the best of all, at the end
of the full training, on the other half. A policy goes on along its one schedule of 60 epochs:
nothing is annealed for a rung.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from horizon_table import FULL, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Policies that begin, and how many are left after how many epochs each; all go on to 60.
WAYS: dict[str, tuple[int, Sequence[tuple[int, int]]]] = {
    "six trained to the end": (6, ()),
    "sixteen to 20 epochs, the best one to the end": (16, ((20, 1),)),
    "ten to 20 epochs, the best four to the end": (10, ((20, 4),)),
    "sixteen, the better half after 10, 20 and 40": (16, ((10, 8), (20, 4), (40, 2))),
    "twenty-five to 10 epochs, the best two to the end": (25, ((10, 2),)),
    "twenty-five, the better half after 10, 20 and 40": (25, ((10, 12), (20, 6), (40, 3))),
    "twenty-five trained to the end": (25, ()),
}
EPOCHS = 60


def cost(begin: int, rungs: Sequence[tuple[int, int]]) -> int:
    """Return the epochs that are trained."""
    spent, left, before = 0, begin, 0
    for epochs, kept in (*rungs, (EPOCHS, 1)):
        spent, left, before = spent + left * (epochs - before), kept, epochs
    return spent


def winner(
    curves: NDArray[np.float64], drawn: NDArray[np.int64], rungs: Sequence[tuple[int, int]]
) -> int:
    """Return which policy is left; `curves` is (policies, six records at equal distances)."""
    for epochs, kept in (*rungs, (EPOCHS, 1)):
        seen = curves[drawn, epochs * curves.shape[1] // EPOCHS - 1]
        drawn = drawn[np.argsort(-seen, kind="stable")[:kept]]
    return int(drawn[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--without", help="a policy that is left out")
    words = parser.parse_args()
    rows = read(words.measured)[FULL, words.seed]
    found = [row for name, row in rows.items() if name != words.without]
    curves = {part: np.array([row[f"auc_{part}"] for row in found]) for part in ("a", "b")}
    print("| way | epochs | mean regret | within .02 of the best |\n| --- | --- | --- | --- |")
    for name, (begin, rungs) in WAYS.items():
        rng, regrets = np.random.default_rng(0), []
        for _ in range(words.draws):
            drawn = rng.permutation(len(found))[:begin]
            for seen, other in (("a", "b"), ("b", "a")):
                truth = curves[other][:, -1]
                regrets.append(truth.max() - truth[winner(curves[seen], drawn, rungs)])
        near = np.mean(np.array(regrets) <= 0.02)
        print(f"| {name} | {cost(begin, rungs)} | {np.mean(regrets):.3f} | {near:.2f} |")


if __name__ == "__main__":
    main()
