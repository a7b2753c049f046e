"""The table of signals says what the measured lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEASURED = HERE.parents[1] / "docs" / "measured" / "horizon.jsonl"
DOCUMENT = HERE.parents[1] / "docs" / "horizon.md"


def table(path: Path, *words: str, script: str = "horizon_table.py") -> list[str]:
    told = subprocess.run(
        [sys.executable, str(HERE / script), str(path), *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.splitlines()


def write(path: Path, signal: str, aucs: list[float], seed: int = 0) -> None:
    with path.open("a", encoding="utf-8") as file:
        for number, auc in enumerate(aucs):
            parts = {f"auc_{part}": [auc] * 6 for part in ("a", "b", "all")}
            row = {"signal": signal, "seed": seed, "policy": f"drawn {number}",
                   "epochs": [10, 20, 30, 40, 50, 60], "cpu_s": 60.0, **parts}  # fmt: skip
            file.write(json.dumps(row) + "\n")


@pytest.mark.slow
def test_a_signal_in_the_right_order_agrees_and_one_in_the_wrong_order_has_regret(tmp_path):
    path = tmp_path / "measured.jsonl"
    truth = [0.5 + 0.01 * number for number in range(12)]
    write(path, "full", truth)
    write(path, "right", [2 * auc for auc in truth])
    write(path, "wrong", truth[::-1])
    rows = {line.split("|")[1].strip(): line.split("|") for line in table(path)[2:] if "|" in line}
    right, wrong = rows["right"], rows["wrong"]
    assert [right[4].split()[0], right[6].strip(), right[7].strip()] == ["1.00", "0.000", "0.000"]
    assert [wrong[4].split()[0], wrong[6].strip(), wrong[7].strip()] == ["-1.00", "0.110", "0.070"]
    assert rows["full, 10 epochs"][8].strip() == "10", "a sixth of the training is a sixth of it"


@pytest.mark.slow
@pytest.mark.parametrize("truth", ["auc", "loss"])
def test_the_document_has_the_table_of_the_lines_that_are_kept(truth):
    document = DOCUMENT.read_text(encoding="utf-8").splitlines()
    missing = [line for line in table(MEASURED, "--truth", truth) if line not in document]
    assert not missing


@pytest.mark.slow
def test_a_race_among_policies_whose_order_never_changes_loses_nothing(tmp_path):
    path = tmp_path / "measured.jsonl"
    write(path, "full", [0.5 + 0.01 * number for number in range(25)])
    told = table(path, "--draws", "20", script="horizon_race.py")
    rows = {line.split("|")[1].strip(): line.split("|") for line in told[2:]}
    race = rows["twenty-five, the better half after 10, 20 and 40"]
    assert [race[2].strip(), race[3].strip()] == ["550", "0.000"]
    assert float(rows["six trained to the end"][3]) > 0
