"""Which cheap signal ranks augmentation policies as full trainings do.

    MEDPIPE_DATA=… python tests/benchmarks/horizon.py --out docs/measured/horizon.jsonl
        [--signals full,edge-14] [--seeds 0] [--policies 30] [--budget-minutes 60]

One network and thirty policies of `medpipe-joint`. Every training that has ended is a line of the
file; those that are there already are not done again, so a later call goes on where one stopped.
`horizon_table.py` makes the table of it.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from horizon_policies import joint_space, policies
from horizon_probes import PROBES
from horizon_trainings import FULL, TRAININGS, Problem, trained

if TYPE_CHECKING:
    from collections.abc import Iterator

    import medpipe_core as mp


def rows_of(path: Path) -> list[dict[str, object]]:
    """Read the lines that are there; the file need not be."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measured(
    problem: Problem,
    signal: str,
    seed: int,
    found: dict[str, mp.Genotype],
    done: set[tuple[object, ...]],
) -> Iterator[tuple[str, dict[str, object]]]:
    """Measure one signal, policy after policy: its name, and a row of figures."""
    left = {name: one for name, one in found.items() if (signal, seed, name) not in done}
    if signal in PROBES:
        yield from PROBES[signal](problem, left, seed=seed) if left else ()
        return
    for name, genotype in left.items():
        yield name, trained(problem, genotype, TRAININGS[signal], seed=seed, told=name)[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines to go on with")
    parser.add_argument("--signals", type=lambda text: text.split(","), default=[FULL],
                        help=f"of {', '.join([*TRAININGS, *PROBES])}")  # fmt: skip
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0])
    parser.add_argument("--policies", type=int, default=30)
    parser.add_argument("--budget-minutes", type=float, default=float("inf"))
    parser.add_argument("--dataset", default="adrenalmnist3d")
    parser.add_argument("--root", help="folder of the dataset's files; $MEDPIPE_DATA by default")
    parser.add_argument("--threads", type=int, default=1)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    until = time.monotonic() + 60 * words.budget_minutes
    problem = Problem(words.dataset, words.root)
    found = policies(joint_space(), words.policies)
    done = {(row["signal"], row["seed"], row["policy"]) for row in rows_of(words.out)}
    words.out.parent.mkdir(parents=True, exist_ok=True)
    for signal, seed in product(words.signals, words.seeds):
        for name, row in measured(problem, signal, seed, found, done):
            line = {"signal": signal, "seed": seed, "policy": name, **row}
            with words.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(signal, seed, name, row, flush=True)
            if time.monotonic() > until:
                print("time is up")
                return


if __name__ == "__main__":
    main()
