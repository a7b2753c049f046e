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
SOAK = Path(__file__).with_name("soak.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks"),
]


def lines_of(script, folder, *words):
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def killed(folder, *words):
    _, *lines = lines_of(DRIVER, folder, *words)
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


def test_a_search_that_signals_and_poisoned_candidates_disturb_ends_as_one_that_was_left_alone(
    tmp_path,
):
    *faults, end = lines_of(
        SOAK, tmp_path, "--every", 8, "preset=quick", "searcher=evolution",
        "search.scores=trained", "search.trial_epochs=1", "search.candidates=4",
        "search.epochs=2", "evaluate.top_k=2", "evaluate.epochs=1", "retrain.epochs=2",
        "dataset.train=90", "threads=1", "test.resamples=50",
    )  # fmt: skip
    assert faults
    assert all(fault["right"] for fault in faults)
    assert end["differs"] == []
    assert end["failed candidates"] > 0


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
