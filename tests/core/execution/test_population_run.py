"""A population whose trainings go on from epoch to epoch."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.execution.executor import Executor
from medpipe_core.execution.trial import Fidelity, Trial, TrialRecord
from medpipe_core.execution.trial_scoring import TrialScoring
from medpipe_core.execution.worker_messages import read_trial, trial_message
from medpipe_core.record import open_folder
from medpipe_core.report.summary import summary_text
from medpipe_core.search import Outcome, PopulationSearcher


class Recording(Executor):
    """Gives the n-th trial the score n, and weights that hold its number."""

    def __init__(self, context):
        super().__init__(context)
        self.trials = []

    def run(self, trials, development, emit):
        for trial in trials:
            number = len(self.trials)
            self.trials.append(trial)
            weights = {"number": torch.tensor(number)}
            yield TrialRecord(trial, {"score": float(number)}, weights=weights)


def test_a_training_goes_on_from_its_own_weights_or_those_of_whom_it_copied(
    context, development, registry
):
    space = registry.space("toy", width=3)
    searcher = PopulationSearcher(space, seed=0, steps=0)
    executor = Recording(context)
    scoring = TrialScoring(context, executor, development, lambda *_, **__: None, searcher)
    number_of = {}
    for stretch in range(3):
        begun = len(executor.trials)
        proposed = searcher.propose(4)
        parents = [searcher.parent(genotype) for genotype in proposed]
        for scored in scoring.scored(proposed):
            searcher.observe(Outcome(scored.genotype, 0, score=scored.figures["score"]))
        trials = executor.trials[begun:]
        assert len(trials) == 4
        for trial, parent in zip(trials, parents, strict=True):
            found = trial.initial and int(trial.initial["number"])
            assert found == (number_of[parent] if parent else None)
        assert all((parent is None) == (stretch == 0) for parent in parents)
        assert all(trial.keep_weights for trial in trials)
        number_of = {t.genotype.digest: begun + i for i, t in enumerate(trials)}
    assert len({trial.seed for trial in executor.trials}) == 3  # another order each stretch


def test_a_run_with_a_population(registry, toy_values, tmp_path):
    keys = {
        **toy_values, "searcher": "population", "search.candidates": 4, "search.epochs": 2,
        "search.trial_epochs": 1, "evaluate.epochs": 1, "run.root": str(tmp_path),
    }  # fmt: skip
    result = mp.run(registry=registry, **keys)
    events = open_folder(result.folder).events()
    told = [event for event in events if event["event"] == "search-epoch"]
    assert [event["epoch"] for event in told] == [1] * 4 + [2] * 4
    assert told[-1]["insight"]["copied"] == 2
    last = {e["genotype"]: e["figures"]["score"] for e in told[4:]}
    assert last[result.content["genotype_digest"]] == max(last.values())


@pytest.mark.parametrize("wrong", [{"search.rungs": 2}, {"search.scores": "shared"}])
def test_a_population_cannot_be_raced(registry, toy_values, tmp_path, wrong):
    keys = {**toy_values, "searcher": "population", "run.root": str(tmp_path), **wrong}
    with pytest.raises(
        ConfigurationError, match=r"give search\.scores=trained and search\.rungs=1"
    ):
        mp.run(registry=registry, **keys)


@pytest.mark.slow
def test_a_schedule_is_kept_told_and_trained_again_to_the_bit(registry, toy_values, tmp_path):
    values = {**toy_values, "run.root": str(tmp_path / "runs"), "retrain.epochs": 6}
    searched = {
        "searcher": "population", "search.candidates": 4, "search.trial_epochs": 1,
        "search.epochs": 3, "searcher.mutations": 2, "searcher.answer": "schedule",
    }  # fmt: skip
    for seed in range(20):  # until policies differ in what they do
        result = mp.run(registry=registry, **{**values, **searched, "seed": seed})
        told = result.content["schedule"]
        space = registry.space("toy", width=3)
        if len({space.canonical(space.genotype(one["choices"])) for one in told}) > 1:
            break
    assert len(told) == 3
    assert told[-1]["choices"] == dict(result.genotype.choices)
    assert json.loads((result.folder / "schedule.json").read_text()) == told
    assert "Schedule of the augmentation" in (result.folder / "policy.txt").read_text()
    assert "66.7 to 100 %" in summary_text(result, space)

    def again(name):
        fixed = {"searcher": "fixed", f"searcher.{name}": str(result.folder), "seed": seed}
        return mp.run(registry=registry, **{**values, **fixed})

    def weights(run):
        return load_file(run.folder / "weights.safetensors")

    def same(one, other):
        return all(torch.equal(value, other[name]) for name, value in one.items())

    same_schedule, last_policy = again("schedule"), again("genotype")
    assert same(weights(result), weights(same_schedule))
    assert same_schedule.content["schedule"] == told
    assert not same(weights(result), weights(last_policy))
    assert not (last_policy.folder / "schedule.json").exists()
    assert last_policy.content["schedule"] == []


def test_a_schedule_travels_to_another_process(registry):
    space = registry.space("toy", width=3)
    genotypes = tuple(space.sample(seed=seed) for seed in range(2))
    trial = Trial(genotypes[-1], Fidelity(2), 0, "evaluate", schedule=genotypes)
    message = json.loads(json.dumps(trial_message(trial)))
    assert read_trial(message, None) == trial
    assert trial.name != Trial(genotypes[-1], Fidelity(2), 0, "evaluate").name
