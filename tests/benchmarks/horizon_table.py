"""The table of what `horizon.py` measured: agreement with full trainings, regret and cost.

    python tests/benchmarks/horizon_table.py docs/measured/horizon.jsonl [--truth loss]

The truth is the figure at the end of the full training, the mean of its seeds. A signal that was
told on half of the volumes for judging is compared with the truth on the other half, and the other
way round, so that no volume makes both; what is shown is the mean of the two. A training on a share
of the volumes is judged on that half and on what it left. `same` is Kendall's tau with signal and
truth on all volumes for judging. Regrets are what the best policy by the signal, or the best of its
first five, falls short of the best policy in the truth. `counted` trains nothing: it is the number
of a policy's layers that act, of all or of the `geometric` ones.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from horizon_policies import joint_space, policies

from medpipe_core.report.comparison.statistics import agreement
from medpipe_core.supernet import build_policy

FULL = "full"
# Figure → whether more of it is better.
FIGURES = {"auc": True, "loss": False, "gain": True, "layers": True, "geometric": True}
GEOMETRIC = ("flip", "rotation", "affine")
EPOCHS_ON_THE_WAY = (10, 20, 30, 40)
TOP = 5
TIES = 200
MOST_POLICIES = 100
Rows = dict[tuple[str, int], dict[str, dict[str, Any]]]
Scores = dict[str, float]


@dataclass(frozen=True)
class Line:
    """A signal beside the truth.

    Attributes:
        signal: Its name.
        figure: What of it ranks.
        policies: How many were compared.
        tau: Mean of the two taus between disjoint volumes.
        low: Mean of the lower ends of their 95 % intervals over policies.
        high: Of the upper ends.
        same: Tau with signal and truth on the same volumes.
        regret: Of the best by the signal.
        regret_of_five: Of the best of its first five.
        cost: Processor seconds for each policy.
        shared: Processor seconds that are spent once for all policies.
    """

    signal: str
    figure: str
    policies: int
    tau: float
    low: float
    high: float
    same: float
    regret: float
    regret_of_five: float
    cost: float
    shared: float


def read(path: Path) -> Rows:
    """Read rows by signal and seed, then policy."""
    rows: Rows = defaultdict(dict)
    for text in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        rows[row["signal"], row["seed"]][row["policy"]] = row
    names = {name for found in rows.values() for name in found}
    rows["counted", 0] = _counted(names)
    return rows


def _counted(names: set[str]) -> dict[str, dict[str, Any]]:
    """Return what is known of policies beforehand, as if it had been measured."""
    space = joint_space()
    made = {}
    for name, genotype in policies(space, MOST_POLICIES).items():
        acting = [layer.path for layer in build_policy(space, genotype).layers]
        counts = {
            "layers": [len(acting)],
            "geometric": [sum(path.endswith(GEOMETRIC) for path in acting)],
        }
        row = {f"{figure}_{part}": count
               for figure, count in counts.items() for part in ("a", "b", "all")}  # fmt: skip
        made[name] = {"epochs": [0], "cpu_s": 0.0, **row}
    return {name: row for name, row in made.items() if name in names}


def lines(rows: Rows, truth: str) -> list[Line]:
    """Return a line for each signal and figure, the most agreeing first; then those of one seed."""
    full = {seed: found for (signal, seed), found in rows.items() if signal == FULL}
    true = {part: _mean([_scores(found, truth, part) for found in full.values()])
            for part in ("a", "b", "all")}  # fmt: skip
    made = []
    for (signal, seed), found in rows.items():
        for figure, at in _readings(signal, found):
            many = sum(one == signal for one, _ in rows) > 1
            name = f"{signal}{f', {at} epochs' if at else ''}{f', seed {seed}' if many else ''}"
            if signal == FULL and not at:
                continue  # the truth itself
            made.append(_line(name, figure, at, found, true))
    return sorted((line for line in made if line), key=lambda line: -line.tau)


def ceiling(rows: Rows, truth: str) -> dict[str, float]:
    """Return how well full trainings agree with themselves, between halves and between seeds."""
    full = {seed: found for (signal, seed), found in rows.items() if signal == FULL}
    told = {}
    for one in full:
        for other in full:
            if one > other:
                continue
            taus = [
                _tau(_scores(full[one], truth, left), _scores(full[other], truth, right))
                for left, right in (("a", "b"), ("b", "a"))
            ]
            told[f"seed {one} and seed {other}, disjoint volumes"] = float(np.mean(taus))
            if one != other:
                told[f"seed {one} and seed {other}, same volumes"] = _tau(
                    _scores(full[one], truth, "all"), _scores(full[other], truth, "all")
                )
    return told


def chance(rows: Rows, truth: str) -> tuple[float, float]:
    """Return the regrets of policies that are drawn blindly: of one, and of the best of five."""
    full = [found for (signal, _), found in rows.items() if signal == FULL]
    rng, regrets = np.random.default_rng(0), []
    for part in ("a", "b"):
        values = np.array(list(_mean([_scores(found, truth, part) for found in full]).values()))
        drawn = [values[rng.permutation(len(values))[:TOP]] for _ in range(4000)]
        regrets.append([(values.max() - d[0], values.max() - d.max()) for d in drawn])
    one, five = np.mean(regrets, axis=(0, 1))
    return float(one), float(five)


def _readings(signal: str, found: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """Return what can be read of a signal: figures, at the end (0) or at epochs on the way."""
    row = next(iter(found.values()))
    ways = [0]
    if signal == FULL:
        ways = [0, *EPOCHS_ON_THE_WAY]
    elif "gain_a" in row:
        ways = [0, *row["epochs"]]
    return [(figure, at) for figure in FIGURES if f"{figure}_all" in row for at in ways]


def _line(
    name: str, figure: str, at: int, found: dict[str, dict[str, Any]], true: dict[str, Scores]
) -> Line | None:
    pairs, regrets = [], []
    some = next(iter(found.values()))
    for judged, other in (("a", "b"), ("b", "a")):
        part = f"{judged}+" if f"{figure}_{judged}+" in some else judged
        signal, truth = _both(_scores(found, figure, part, at), true[other])
        pairs.append(agreement(signal, truth))
        regrets.append(_regrets(signal, truth))
    left, right = pairs
    if left is None or right is None or left.count <= TOP:
        return None
    share = at / some["epochs"][-1] if at and "gain_a" not in some else 1.0
    return Line(
        signal=name,
        figure=figure,
        policies=left.count,
        tau=(left.tau + right.tau) / 2,
        low=float(np.mean([left.low, right.low])),
        high=float(np.mean([left.high, right.high])),
        same=_tau(_scores(found, figure, "all", at), true["all"]),
        regret=float(np.mean([one for one, _ in regrets])),
        regret_of_five=float(np.mean([five for _, five in regrets])),
        cost=share * float(np.median([row["cpu_s"] for row in found.values()])),
        shared=some.get("shared_cpu_s", 0.0),
    )


def _regrets(signal: list[float], truth: list[float]) -> tuple[float, float]:
    """Return the regret of the best by the signal and of its five, ties in any order alike."""
    rng = np.random.default_rng(0)
    orders = [np.lexsort((rng.random(len(signal)), signal))[::-1] for _ in range(TIES)]
    ranked = np.take(truth, orders)
    short = max(truth) - ranked
    return float(short[:, 0].mean()), float(short[:, :TOP].min(axis=1).mean())


def _scores(found: dict[str, dict[str, Any]], figure: str, part: str, at: int = 0) -> Scores:
    """Return each policy's score, larger is better; a gain at the end is the mean of all."""
    sign = 1 if FIGURES[figure] else -1
    scores = {}
    for name, row in found.items():
        values = row[f"{figure}_{part}"]
        if at:
            scores[name] = sign * values[row["epochs"].index(at)]
        else:
            scores[name] = sign * (float(np.mean(values)) if figure == "gain" else values[-1])
    return scores


def _mean(of_seeds: list[Scores]) -> Scores:
    """Return the mean over the seeds of those policies that every seed has."""
    names = [name for name in of_seeds[0] if all(name in scores for scores in of_seeds)]
    return {name: float(np.mean([scores[name] for scores in of_seeds])) for name in names}


def _both(one: Scores, other: Scores) -> tuple[list[float], list[float]]:
    names = [name for name in one if name in other]
    return [one[name] for name in names], [other[name] for name in names]


def _tau(one: Scores, other: Scores) -> float:
    found = agreement(*_both(one, other))
    return float("nan") if found is None else found.tau


def shown(rows: Rows, truth: str) -> str:
    """Return the table in Markdown, and what stands around it."""
    text = [
        "| signal | ranks by | policies | τ (95 %) | same volumes | regret | of five | s a policy "
        "| s once |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    text += [
        f"| {line.signal} | {line.figure} | {line.policies} | {line.tau:.2f} "
        f"({line.low:.2f} to {line.high:.2f}) | {line.same:.2f} | {line.regret:.3f} "
        f"| {line.regret_of_five:.3f} | {line.cost:.0f} | {line.shared:.0f} |"
        for line in lines(rows, truth)
    ]
    one, five = chance(rows, truth)
    text += ["", f"Drawn blindly: regret {one:.3f}, of five {five:.3f}."]
    text += [f"Full trainings, {name}: τ {tau:.2f}." for name, tau in ceiling(rows, truth).items()]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path)
    parser.add_argument("--truth", choices=("auc", "loss"), default="auc")
    words = parser.parse_args()
    print(shown(read(words.measured), words.truth))


if __name__ == "__main__":
    main()
