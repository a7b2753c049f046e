"""Steps that are recorded once and replayed; a recorder that calls again stands in for a GPU's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from medpipe_core.seeding import seeded_init
from medpipe_core.train import ClassificationTask, FitSettings, FitState, TrainingDivergedError, fit
from medpipe_core.train.late_number import LateNumber
from medpipe_core.train.training_step import RecordedSteps

TASK = ClassificationTask(("a", "b"))
SETTINGS = FitSettings(epochs=3, batch_size=6, lr=0.01, average=0.9, grad_clip=0.5)


class Recorder:
    """Does again what it was shown, into the same memory, as a CUDA graph does."""

    def __init__(self, *_):
        self.did = []

    def alongside(self, function):
        self.did.append("alongside")
        return function()

    def record(self, function):
        self.did.append("record")
        self._function = function
        self._result = torch.full((), math.nan)
        return self._result

    def replay(self):
        self.did.append("replay")
        self._result.copy_(self._function())


class Refusing(Recorder):
    def record(self, function):
        raise RuntimeError("operation not permitted when stream is capturing\nsome advice")


def network():
    with seeded_init(0):
        return nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(4, 2),
        )  # fmt: skip


def trained(data, settings=SETTINGS, task=TASK, emit=lambda *_, **__: None, augment=None):
    state = FitState.start(network(), data, settings=settings, seed=3, device="cpu")
    fit(state, settings=settings, task=task, augment=augment, emit=emit)
    return state


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    def begin(recorder=Recorder):
        made = []
        monkeypatch.setattr("medpipe_core.train.fitting._is_on_gpu", lambda state: True)
        monkeypatch.setattr(
            "medpipe_core.train.fitting.CudaGraph",
            lambda device: made.append(recorder(device)) or made[-1],
        )
        return made

    return begin


def test_recorded_steps_train_as_plain_ones_do(data, as_on_a_gpu):
    plain = trained(data)
    recorders = as_on_a_gpu()
    recorded = trained(data)
    assert recorders[0].did[:5] == ["alongside"] * 3 + ["record", "replay"]
    assert recorders[0].did.count("record") == 1
    kept = recorded.result.state_dict()
    assert all(torch.equal(v, kept[n]) for n, v in plain.result.state_dict().items())
    assert recorded.history == plain.history


def test_what_cannot_be_recorded_trains_all_the_same_and_says_so(data, as_on_a_gpu):
    plain = trained(data)
    as_on_a_gpu(Refusing)
    told = []
    emit = lambda event, **fields: told.append((event, fields.get("message", "")))  # noqa: E731
    stubborn = trained(data, emit=emit)
    kept = stubborn.result.state_dict()
    assert all(torch.equal(v, kept[n]) for n, v in plain.result.state_dict().items())
    warnings = [message for event, message in told if event == "fit-warning"]
    assert len(warnings) == 1
    assert "operation not permitted when stream is capturing" in warnings[0]
    assert "some advice" not in warnings[0]


def test_out_of_memory_while_recording_is_not_taken_for_a_layer_that_cannot_be():
    class Full(Recorder):
        def record(self, function):
            raise torch.OutOfMemoryError("no more")

    steps = RecordedSteps(lambda volumes, labels: volumes.sum(), Full(), pytest.fail)
    for _ in range(3):
        steps(torch.ones(2), torch.ones(2))
    with pytest.raises(torch.OutOfMemoryError):
        steps(torch.ones(2), torch.ones(2))


def test_a_loss_that_is_not_finite_is_told_with_its_own_step(data, as_on_a_gpu):
    as_on_a_gpu()

    def breaks(volumes, generator):
        calls.append(None)
        return volumes * (math.nan if len(calls) == 6 else 1)

    calls = []
    per_epoch = len(data) // 6
    with pytest.raises(TrainingDivergedError, match=rf"epoch {5 // per_epoch + 1}, step "):
        trained(data, augment=breaks)
    assert len(calls) in (6, 7)  # one step late at most


def test_losses_that_were_not_told_yet_are_in_a_saved_state(data, as_on_a_gpu):
    plain, found = [], []

    def saving(states):
        state = FitState.start(network(), data, settings=SETTINGS, seed=3, device="cpu")
        fit(
            state, settings=SETTINGS, task=TASK,
            between=lambda: states.append(state.state_dict()["losses"]),
        )  # fmt: skip

    saving(plain)
    as_on_a_gpu()
    saving(found)
    assert found == plain
    assert any(len(losses) > 1 for losses in found)


def test_a_late_number_is_the_number():
    assert float(LateNumber(torch.tensor(1.5))) == 1.5
