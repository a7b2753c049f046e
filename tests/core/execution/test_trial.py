"""A trial is a pure function of configuration, genotype, fidelity and seed."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import pytest
import torch

from medpipe_core.config import resolve
from medpipe_core.config.errors import StorageError
from medpipe_core.errors import OperationError
from medpipe_core.events import silent
from medpipe_core.execution import trial as module
from medpipe_core.execution import trial_training
from medpipe_core.execution.checked_dataset import make_dataset
from medpipe_core.execution.context import RunContext
from medpipe_core.execution.fidelity import Fidelity
from medpipe_core.execution.run_memory import RunMemory
from medpipe_core.execution.stages import NoContenderError, RunStages
from medpipe_core.execution.trial import TrialFailedError, TrialRunner
from medpipe_core.plugins import load_plugins
from medpipe_core.train import TrainingDivergedError


@pytest.fixture
def runner(context, development):
    return TrialRunner(context, development)


def weights_of(record):
    return {name: value.tolist() for name, value in record.weights.items()}


def test_the_same_trial_gives_the_same_record_whatever_ran_before(runner, trial_of):
    trial = trial_of(1, epochs=2, keep_weights=True)
    first = runner.run(trial, silent)
    runner.run(trial_of(2, epochs=3), silent)
    again = runner.run(trial, silent)
    assert again.figures == first.figures
    assert weights_of(again) == weights_of(first)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"fidelity": Fidelity(3)},
        {"fidelity": Fidelity(2, volumes=0.5)},
        {"fidelity": Fidelity(2, width=0.4)},
    ],
)
def test_seed_and_fidelity_each_change_what_is_trained(runner, trial_of, change):
    trial = trial_of(1, epochs=2, keep_weights=True)
    changed = dataclasses.replace(trial, **change)
    assert weights_of(runner.run(trial, silent)) != weights_of(runner.run(changed, silent))


def test_a_trial_trains_on_what_it_is_not_judged_by(runner, trial_of, development, monkeypatch):
    seen = {}
    real = trial_training.fit

    def fit(state, **words):
        seen[words["stage"]] = (state.step, len(state.batches), len(words["validation"]))
        return real(state, **words)

    monkeypatch.setattr(trial_training, "fit", fit)
    for purpose in ("trial", "evaluate", "retrain"):
        runner.run(trial_of(purpose=purpose), silent)
    count, validation = len(development.train), len(development.validation)
    half, size = count // 2, runner._context.keys.evaluate.batch_size
    searched = (0, half // size, count - half + validation)
    assert seen == {
        "trial": searched,
        "evaluate": searched,
        "retrain": (0, count // size, validation),
    }


def test_weights_to_begin_with_are_begun_with(runner, trial_of):
    trained = runner.run(trial_of(1, epochs=2, keep_weights=True), silent)
    went_on = runner.run(trial_of(1, epochs=0, initial=trained.weights, keep_weights=True), silent)
    fresh = runner.run(trial_of(1, epochs=0, keep_weights=True), silent)
    names = [name for name in trained.weights if name.endswith("weight")]
    assert all(torch.equal(went_on.weights[n], trained.weights[n]) for n in names)
    assert not all(torch.equal(fresh.weights[n], trained.weights[n]) for n in names)


def test_weights_are_kept_only_where_asked_for(runner, trial_of):
    assert runner.run(trial_of(), silent).weights is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDivergedError("the loss became nan"), "the loss became nan"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (RuntimeError("can't allocate memory"), "out of memory"),
        (MemoryError(), "out of memory"),
        (OperationError("block 'mine' of acme 1.0 failed"), "block 'mine' of acme 1.0 failed"),
    ],
)
def test_a_training_that_fails_is_a_record_with_a_reason(
    runner, trial_of, monkeypatch, error, reason
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(trial_training, "fit", fail)
    record = runner.run(trial_of(), silent)
    assert record.failed == reason
    assert record.figures == {}
    assert record.score == -math.inf


def test_a_score_that_is_not_finite_is_a_failure(runner, trial_of, monkeypatch):
    monkeypatch.setattr(
        type(runner._context), "figures", lambda *_: {"score": math.nan, "accuracy": 0.5}
    )
    record = runner.run(trial_of(), silent)
    assert record.failed == "its predictions are not finite numbers"
    assert record.score == -math.inf


BREAKING = """
from torch import nn
from medpipe_core import Group, Operation, SearchSpace, hookimpl

class Breaking(nn.Conv3d):
    out_channels = 2

    def forward(self, volumes):
        if volumes.device.type != "meta" and self.training:
            raise ValueError("no such shape")
        return super().forward(volumes)

def breaking(in_channels):
    return Breaking(in_channels, 2, 1)

def space():
    return SearchSpace("breaking", Group({"network": Operation("block", "breaking")}))

@hookimpl
def medpipe_register(registry):
    registry.register("block", "breaking", breaking)
    registry.register("space", "breaking", space)
"""


def test_what_a_block_raises_is_a_record_that_names_its_plugin(toy_values, tmp_path):
    path = tmp_path / "breaking.py"
    path.write_text(BREAKING)
    registry = load_plugins(load=[*toy_values["plugins.load"], path])
    configuration = resolve({**toy_values, "space": "breaking"}, registry)
    dataset = make_dataset(configuration, registry)
    context = RunContext.of(configuration, registry, dataset.card)
    trial = module.Trial(context.space.sample(seed=0), Fidelity(1), 0, "evaluate")
    record = TrialRunner(context, dataset.development()).run(trial, silent)
    assert "block 'breaking' of file:breaking.py" in record.failed
    assert f"ValueError: no such shape (at {path}:10)" in record.failed
    assert record.score == -math.inf


@pytest.mark.parametrize("error", [StorageError("the disk is full"), ValueError("a listener")])
def test_what_a_listener_raises_is_no_record(runner, trial_of, error):
    def full(*_, **__):
        raise error

    with pytest.raises(type(error), match=str(error)):
        runner.run(trial_of(), full)

    class Full(RunMemory):
        def between_steps(self):
            raise error

    with pytest.raises(type(error), match=str(error)):
        runner.run(trial_of(), silent, Full())


def test_a_block_that_raises_fails_its_trial_with_its_name(runner, trial_of, monkeypatch):
    def broken(self, volumes):
        raise KeyError("missing")

    real = type(runner._context).network

    def network(self, genotype, **more):
        made = real(self, genotype, **more)
        first = next(iter(made.children()))
        first.__class__ = type("Broken", (type(first),), {"forward": broken})
        return made

    monkeypatch.setattr(type(runner._context), "network", network)
    record = runner.run(trial_of(), silent)
    assert "network/stem" in record.failed
    assert "block 'toy_conv' of file:toy_plugin.py" in record.failed
    assert "KeyError: 'missing'" in record.failed


def test_what_failed_gives_its_memory_back(runner, trial_of, monkeypatch):
    kept = []

    def fail(state, **_):
        kept.append(weakref.ref(state.network))
        raise TrainingDivergedError("the loss became inf")

    monkeypatch.setattr(trial_training, "fit", fail)
    gc.disable()  # so that only the trial itself can collect what failed
    try:
        runner.run(trial_of(), silent)
        assert kept[0]() is None
    finally:
        gc.enable()


class Replies:
    """An executor whose records have the scores that it is told."""

    def __init__(self, scores):
        self.scores = iter(scores)
        self.memory = RunMemory()

    def run(self, trials, development, emit):
        for trial in trials:
            score = next(self.scores)
            failed = score if isinstance(score, str) else ""
            figures = {} if failed else {"score": score}
            yield module.TrialRecord(trial, figures, failed)

    def run_one(self, trial, development, emit):
        (record,) = self.run([trial], development, emit)
        return record


def candidates(context, count):
    distinct = {}
    for seed in range(50):
        genotype = context.space.sample(seed=seed)
        distinct.setdefault(genotype, context.candidate(genotype, {}, 1))
    return list(distinct.values())[:count]


def test_evaluation_ranks_and_puts_what_failed_last(context, development):
    found = candidates(context, 4)
    told = []
    stages = RunStages(context, Replies([0.5, "out of memory", 0.9, 0.5]))
    rows = stages.evaluate(development, found, lambda event, **f: told.append((event, f["number"])))
    order = [found.index(dataclasses.replace(r, validation={}, failed="", epochs=0)) for r in rows]
    assert order == [2, 0, 3, 1]
    assert rows[-1].failed == "out of memory"
    assert told == [("evaluate-candidate", n) for n in (1, 2, 3, 4)]


def test_an_evaluation_in_which_all_fail_says_why(context, development):
    stages = RunStages(context, Replies(["diverged", "out of memory"]))
    with pytest.raises(NoContenderError, match=r"all 2 candidates .*: diverged; out of memory"):
        stages.evaluate(development, candidates(context, 2), silent)
    with pytest.raises(NoContenderError, match="no candidate to evaluate"):
        stages.evaluate(development, [], silent)


def test_a_retraining_that_fails_ends_the_run_with_the_reason(context, development):
    stages = RunStages(context, Replies(["the loss became nan"]))
    with pytest.raises(TrialFailedError, match="the loss became nan"):
        stages.retrain(development, candidates(context, 1)[0], silent)
