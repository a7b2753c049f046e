from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from medpipe_core.errors import OperationError
from medpipe_core.supernet import AugmentationError
from medpipe_core.train import NoContenderError, TrainingDivergedError, contest


def test_candidates_are_ranked_by_score_and_equals_keep_their_order(diary):
    scores = {"a": 0.5, "b": 0.9, "c": 0.5}
    rows = contest(list(scores), lambda name: {"score": scores[name], "auc": 0.7}, emit=diary)
    assert [row.candidate for row in rows] == ["b", "a", "c"]
    assert rows[0].figures == {"score": 0.9, "auc": 0.7}
    assert [fields["number"] for _, fields in diary] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDivergedError("the loss became nan in epoch 1, step 1"), "the loss became nan"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (MemoryError(), "out of memory"),
        (np._core._exceptions._ArrayMemoryError((10**9,), np.dtype("f8")), "out of memory"),
        (OperationError("a/x: block 'x' of acme 1.0 failed: KeyError: 'y'"), "of acme 1.0 failed"),
        (AugmentationError("a/y: augmentation 'y' of acme 1.0"), "augmentation 'y' of acme"),
    ],
)
def test_a_candidate_that_cannot_be_trained_fails_alone(error, reason, diary):
    def trial(name):
        if name == "bad":
            raise error
        return {"score": 0.1}

    rows = contest(["bad", "good"], trial, emit=diary)
    assert [row.candidate for row in rows] == ["good", "bad"]
    assert reason in rows[1].failed
    assert rows[1].score == -math.inf
    assert reason in diary[0][1]["failed"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_asks_the_run_to_stop_is_not_taken_for_a_failed_candidate(stop):
    def trial(name):
        raise stop

    with pytest.raises(stop):
        contest(["a"], trial)


def test_a_score_that_is_not_finite_is_a_failure():
    rows = contest(["nan", "low"], lambda name: {"score": math.nan if name == "nan" else -5.0})
    assert [row.candidate for row in rows] == ["low", "nan"]
    assert "not finite" in rows[1].failed


def test_a_programming_error_is_not_taken_for_a_failed_candidate():
    with pytest.raises(ZeroDivisionError):
        contest(["a"], lambda name: {"score": 1 / 0})
    with pytest.raises(RuntimeError, match="shape"):
        contest(["a"], lambda name: (_ for _ in ()).throw(RuntimeError("shape mismatch")))


def test_the_memory_of_a_failed_candidate_is_free_before_the_next_begins():
    ghosts, alive = [], []

    def trial(name):
        gc.disable()  # so that only the contest itself can collect what failed
        alive.append([ghost() is not None for ghost in ghosts])
        network = nn.Linear(4, 4)
        network.myself = [network]
        ghosts.append(weakref.ref(network))
        if name == "bad":
            raise torch.OutOfMemoryError("out of memory")
        return {"score": 0.0}

    try:
        contest(["bad", "good"], trial)
    finally:
        gc.enable()
    assert alive == [[], [False]]


def test_when_all_fail_the_error_gives_each_reason_once():
    def trial(name):
        raise TrainingDivergedError("lost" if name == "a" else "found wanting")

    with pytest.raises(NoContenderError, match=r"all 3 candidates .*: lost; found wanting$"):
        contest(["a", "b", "c"], trial)


def test_without_candidates_there_is_nothing_to_choose():
    with pytest.raises(NoContenderError, match="no candidate to evaluate"):
        contest([], lambda name: {"score": 1.0})
