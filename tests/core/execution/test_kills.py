"""A run that is killed at any moment goes on to the same end; see `kill_driver.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kill_driver.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks"),
]


def killed(folder, *words):
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    _, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line["differs"] == [] for line in lines)
    where = Counter(where for line in lines for where in line["where"])
    return where, Counter(stage for line in lines for stage in line["stages"])


@pytest.mark.parametrize(
    ("kills", "words"),
    [
        (80, ["searcher=gumbel", "retrain.select=best"]),
        (60, ["search.scores=trained", "evaluate.inherit=true"]),
        (60, ["searcher=gumbel", "search.scores=trained", "retrain.inherit=true"]),
    ],
    ids=["shared weights", "trials", "both"],
)
def test_two_hundred_kills_and_the_same_result(tmp_path, kills, words):
    where, stages = killed(tmp_path, "--kills", kills, *words)
    assert sum(where.values()) >= kills
    assert len(where) > 5, "the kills were all at the same kind of place"
    assert {"search", "evaluate", "retrain", "test", "ending"} <= set(stages)


def test_a_fault_between_the_retraining_and_the_end_leaves_the_same_result(tmp_path):
    """At each point as the test set is opened, and at some of what is written from there on."""
    where, stages = killed(
        tmp_path, "--stage", "test", "--every", os.environ.get("MEDPIPE_EVERY", "20"),
        "--faults", "kill,disk,rename", "searcher=gumbel",
    )  # fmt: skip
    assert {"before write", "within write", "before replace", "before fsync"} & set(where)
    assert {"test", "ending"} <= set(stages)


def test_a_soak_of_faults_of_all_kinds_ends_as_the_undisturbed_run(tmp_path):
    """A minute of it, or as many seconds as MEDPIPE_SOAK says."""
    where, stages = killed(
        tmp_path, "--kills", 12, "--seconds", os.environ.get("MEDPIPE_SOAK", "60"),
        "--faults", "kill,disk,term,clock,rename", "searcher=gumbel", "retrain.select=best",
    )  # fmt: skip
    assert {"kill", "disk", "term", "rename"} <= set(where)
    assert {"search", "retrain"} <= set(stages)  # chance; the test before this one meets the end


def test_kills_while_two_processes_train_and_the_same_result(tmp_path):
    where, _ = killed(tmp_path, "--kills", 6, "--chain", 1, "executor.workers=2")
    assert sum(where.values()) >= 6
