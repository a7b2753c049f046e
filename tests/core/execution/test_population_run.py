"""A population whose trainings go on from epoch to epoch."""

from __future__ import annotations

import pytest
import torch

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.execution.executor import Executor
from medpipe_core.execution.trial import TrialRecord
from medpipe_core.execution.trial_scoring import TrialScoring
from medpipe_core.record import open_folder
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
