"""A training has its time, and one more try where it has to succeed."""

from __future__ import annotations

import dataclasses

import pytest

from medpipe_core.events import silent
from medpipe_core.execution import trial_training
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.trial import TrialRunner
from medpipe_core.report.summary import notes_on
from medpipe_core.train import TrainingDivergedError, fitting


@pytest.fixture
def runner(context, development):
    return TrialRunner(context, development)


def diverging(monkeypatch, *steps):
    """Let the loss be not finite at these steps of the process, counted from 0."""
    real, taken = fitting._Training.take_step, []

    def step(training, batch):
        taken.append(training._settings.lr)
        if len(taken) - 1 in steps:
            raise TrainingDivergedError("the loss became nan")
        real(training, batch)

    monkeypatch.setattr(fitting._Training, "take_step", step)
    return taken


def test_a_retraining_that_diverges_goes_on_slower_from_the_last_epoch(
    runner, trial_of, monkeypatch
):
    told = []
    taken = diverging(monkeypatch, 8)  # in the second of three epochs of six steps
    record = runner.run(
        trial_of(epochs=3, purpose="retrain"), lambda event, **f: told.append((event, f))
    )
    assert record.failed == ""
    note = "went on from the end of epoch 1 with a learning rate of 0.0006 instead of 0.002"
    assert note in record.notes[0]
    assert [event for event, _ in told] == [
        "retrain-epoch", "retrain-warning", "retrain-epoch", "retrain-epoch",
    ]  # fmt: skip
    assert taken[8] == 2e-3
    assert taken[9:] == [pytest.approx(6e-4)] * 12


def test_a_retraining_that_diverges_twice_has_failed(runner, trial_of, monkeypatch):
    diverging(monkeypatch, 8, 10)
    record = runner.run(trial_of(epochs=3, purpose="retrain"), silent)
    assert record.failed == "the loss became nan"


def test_a_candidate_that_diverges_has_failed(runner, trial_of, monkeypatch):
    diverging(monkeypatch, 1)
    assert runner.run(trial_of(epochs=2), silent).failed == "the loss became nan"


def test_a_second_try_is_gone_on_with_as_one(runner, trial_of, monkeypatch):
    trial = trial_of(epochs=3, purpose="retrain", keep_weights=True)
    diverging(monkeypatch, 8)
    whole = runner.run(trial, silent)
    monkeypatch.undo()

    class Stopped(Exception):
        pass

    for stop in (3, 7, 8, 9, 14):
        diverging(monkeypatch, 8)

        class Stopping(RunMemory):
            def between_steps(self):
                self.left -= 1
                if self.left < 0:
                    raise Stopped

        memory = Stopping()
        memory.left = stop
        states = []
        real = memory.state_dict

        def keep(real=real, states=states):
            states.append(trial_training.copied(real()))

        memory.between_steps = lambda m=memory, keep=keep: (keep(), Stopping.between_steps(m))
        with pytest.raises(Stopped):
            runner.run(trial, silent, memory)
        monkeypatch.undo()
        taken = 8 - stop
        diverging(monkeypatch, *([taken] if taken >= 0 else []))
        again = runner.run(trial, silent, RunMemory(states[-1]))
        monkeypatch.undo()
        assert again.notes == whole.notes
        assert again.figures == whole.figures
        assert all(again.weights[n].equal(whole.weights[n]) for n in whole.weights)


def test_a_candidate_that_takes_too_long_has_failed(context, development, trial_of):
    keys = context.keys.model_copy(
        update={"trial": context.keys.trial.model_copy(update={"hours": 1e-9})}
    )
    hurried = dataclasses.replace(
        context, configuration=dataclasses.replace(context.configuration, keys=keys)
    )
    runner = TrialRunner(hurried, development)
    record = runner.run(trial_of(), silent)
    assert "took longer than it may (trial.hours=1e-09) and was at step 0 of 3" in record.failed
    assert runner.run(trial_of(purpose="retrain"), silent).failed == ""


def test_a_second_try_is_told_at_the_end():
    assert notes_on({"retraining": {"notes": ["it diverged"]}}) == ["it diverged"]
