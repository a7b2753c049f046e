"""What only a CUDA device can show of training; see test_training_step.py for the rest."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from medpipe_core.seeding import seeded_init
from medpipe_core.train import ClassificationTask, FitSettings, FitState, fit
from medpipe_core.train.late_number import LateNumber

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TASK = ClassificationTask(("a", "b"))
SETTINGS = FitSettings(epochs=4, batch_size=6, lr=0.01, average=0.9, grad_clip=0.5)


class Asks(nn.Module):
    """Waits for the device in its forward pass, which cannot be recorded."""

    def forward(self, volumes):
        return volumes * (1.0 if volumes.sum().item() < 1e9 else 2.0)


def network(*more):
    with seeded_init(0):
        return nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), *more, nn.Flatten(),
            nn.Linear(256, 2),
        )  # fmt: skip


def trained(data, device, *more):
    told = []
    state = FitState.start(network(*more), data, settings=SETTINGS, seed=3, device=device)
    fit(
        state, settings=SETTINGS, task=TASK,
        emit=lambda event, **fields: told.append((event, fields.get("message", ""))),
    )  # fmt: skip
    return state, [message for event, message in told if event == "fit-warning"]


def assert_alike(one, other):
    """Hold the losses together: Adam's first steps make large differences of rounded gradients."""
    losses = [[row["loss"] for row in state.history] for state in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.02)
    assert losses[0][-1] < losses[0][0]


def test_recorded_steps_train_as_a_cpu_does(data):
    on_cpu, _ = trained(data, "cpu")
    on_gpu, warnings = trained(data, "cuda")
    assert warnings == []
    assert_alike(on_cpu, on_gpu)
    rates = [row["lr"] for row in on_gpu.history]
    assert rates == [row["lr"] for row in on_cpu.history]


def test_a_layer_that_asks_the_device_is_named_as_what_cannot_be_recorded(data):
    on_cpu, _ = trained(data, "cpu", Asks())
    on_gpu, warnings = trained(data, "cuda", Asks())
    assert len(warnings) == 1
    assert "cannot be recorded as a CUDA graph" in warnings[0]
    assert_alike(on_cpu, on_gpu)


def test_a_training_goes_on_from_a_saved_state(data):
    whole, _ = trained(data, "cuda")
    states = []
    state = FitState.start(network(), data, settings=SETTINGS, seed=3, device="cuda")
    fit(
        state, settings=SETTINGS, task=TASK,
        between=lambda: states.append(copy.deepcopy(state.state_dict())),
    )  # fmt: skip
    again = FitState.start(network(), data, settings=SETTINGS, seed=3, device="cuda")
    again.load_state_dict(states[9])
    fit(again, settings=SETTINGS, task=TASK)
    assert_alike(whole, again)


def test_a_late_number_is_told():
    assert float(LateNumber(torch.full((), 1.5, device="cuda"))) == 1.5
