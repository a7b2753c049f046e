"""The order of a run, and who gets to see what."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from medpipe_core.config.errors import Interrupted
from medpipe_core.data import Development, SealedTest
from medpipe_core.execution.candidates import distinct
from medpipe_core.execution.execute import ending_noted
from medpipe_core.execution.pipeline import Pipeline
from medpipe_core.execution.results import Candidate, Planned, Tested, Trained
from medpipe_core.record.run_folder import create_folder

FIGURES = {"accuracy": 0.5, "auc": float("nan"), "score": 0.5}
TRIED = {"accuracy": 0.75, "score": 0.75}


@dataclass
class Recorder:
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, event, /, **fields):
        self.events.append((event, fields))

    @property
    def names(self):
        return [name for name, _ in self.events]


class Dataset:
    def __init__(self, log):
        self.sealed = SealedTest(lambda: log.append("test read") or "test volumes")

    def development(self):
        return Development(train="train", validation="validation")

    def sealed_test(self):
        return self.sealed


class Stages:
    """Stages that look for a way from what they are handed to the test set."""

    def __init__(self, space, dataset, log):
        self.space = space
        self._forbidden = (dataset, dataset.sealed)
        self._log = log
        self.failing = ""

    def plan(self, development):
        return {"search": Planned("search-step", 1, 1.0)}

    def budget(self, development):
        return None

    def search(self, development, emit):
        self._work("search", development)
        emit("search-best", epoch=1, steps=4, choices=dict(self.space.sample(seed=0).choices))
        emit("search-best", epoch=2, steps=8, failed="nothing is known")
        return [Candidate(self.space.sample(seed=s), FIGURES, 10, 20, 1) for s in range(9)]

    def evaluate(self, development, candidates, emit):
        self._work("evaluate", development, candidates, emit)
        self.compared = list(candidates)
        return [replace(candidate, validation=TRIED) for candidate in reversed(candidates)]

    def retrain(self, development, chosen, emit):
        self._work("retrain", development, chosen, emit)
        self.chosen = chosen
        return Trained(torch.nn.Linear(1, 1), FIGURES)

    def _work(self, name, *handed):
        if self.failing == name:
            raise RuntimeError("broken stage")
        self._log.append(name)
        reachable = _reachable(handed)
        assert not any(id(thing) in reachable for thing in self._forbidden)


def _reachable(things):
    """Ids of all that can be reached through containers, attributes and closures."""
    seen, waiting = set(), list(things)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type) or type(thing).__name__ == "module":
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | tuple | set):
            waiting += gc.get_referents(thing)
        elif type(thing).__module__.startswith("medpipe_core.data"):
            waiting += list(vars(thing).values())
    return seen


class KnownDataset(Dataset):
    """Its regret is what the digest says, so that every genotype has another."""

    def regret(self, genotype):
        return regret_of(genotype)


class AnotherSpacesDataset(Dataset):
    def regret(self, genotype):
        return None


def regret_of(genotype):
    return int(genotype.digest[-4:], 16) / 2**16


@pytest.fixture
def setting(registry, toy_configuration, request):
    log, recorder = [], Recorder()
    space = registry.space("toy")
    dataset = getattr(request, "param", Dataset)(log)
    stages = Stages(space, dataset, log)
    folder = create_folder(toy_configuration)

    def final_test(trained, sealed, development, *, after):
        present = {p.name for p in folder.path.iterdir()}
        assert {"genotype.json", "policy.txt", "weights.safetensors"} <= present
        assert sealed.open(after=after) == "test volumes"
        figures = {"accuracy": {"value": 0.5, "low": 0.4, "high": float("inf")}}
        return Tested(
            {"test": figures, "majority": FIGURES}, {"temperature": 1.0}, "case\n", "case\n", {}
        )

    pipeline = Pipeline(toy_configuration, dataset, stages, final_test, folder, recorder)
    return pipeline, stages, recorder, log


def test_the_test_set_is_read_once_and_last(setting):
    pipeline, _, recorder, log = setting
    pipeline.run()
    assert log == ["search", "evaluate", "retrain", "test read"]
    assert recorder.names.index("test-opened") > recorder.names.index("chosen")
    opened = recorder.names.index("test-opened")
    finished = [f["stage"] for name, f in recorder.events[:opened] if name == "stage-finished"]
    assert finished == ["data", "search", "evaluate", "retrain"]
    assert recorder.names.count("test-opened") == 1


@pytest.mark.parametrize("stage", ["search", "evaluate", "retrain"])
def test_a_run_that_fails_never_reads_the_test_set(setting, stage):
    pipeline, stages, _, log = setting
    stages.failing = stage
    with pytest.raises(RuntimeError, match="broken stage"):
        pipeline.run()
    assert "test read" not in log


def test_what_evaluation_puts_first_is_what_is_retrained_and_exported(setting):
    pipeline, stages, _, _ = setting
    result = pipeline.run()
    first = stages.compared[-1]
    assert stages.chosen.genotype is first.genotype
    assert result.genotype == first.genotype
    exported = json.loads((result.folder / "genotype.json").read_text())
    assert exported["choices"] == dict(first.genotype.choices)
    assert result.content["genotype_digest"] == first.genotype.digest


def test_only_the_top_k_distinct_candidates_are_evaluated(setting, toy_configuration):
    pipeline, stages, _, _ = setting
    pipeline.run()
    assert len(stages.compared) == toy_configuration.keys.evaluate.top_k
    functions = {stages.space.canonical(c.genotype) for c in stages.compared}
    assert len(functions) == len(stages.compared)


def test_candidates_that_do_the_same_count_once(registry):
    space = registry.space("toy")
    off = dict(space.sample(seed=0).choices) | {"augment/shift/p": "0"}
    twins = [space.genotype(off | {"augment/shift/high": key}) for key in ("0.1", "0.2")]
    found = [Candidate(genotype, FIGURES, 1, 1, 1) for genotype in twins]
    assert distinct(found, space) == found[:1]


def test_the_result_holds_what_it_promises(setting):
    pipeline, _, _, _ = setting
    result = pipeline.run()
    content = json.loads((result.folder / "result.json").read_text())
    assert content == result.content
    promised = {
        "test", "validation", "majority", "genotype", "space", "space_digest", "searcher",
        "dataset", "seed", "parameters", "seconds", "candidates",
    }  # fmt: skip
    assert promised <= content.keys()
    assert content["seconds"].keys() == {"data", "search", "evaluate", "retrain", "test"}
    assert content["validation"]["auc"] is None
    assert content["test"]["accuracy"]["high"] is None
    assert result.test["accuracy"]["value"] == 0.5


def test_a_candidate_keeps_the_searchs_figures_beside_the_evaluations(setting):
    pipeline, _, _, _ = setting
    rows = pipeline.run().content["candidates"]
    searched = {"accuracy": 0.5, "auc": None, "score": 0.5}
    assert [row["search"] for row in rows] == [searched] * len(rows)
    assert [row["validation"] for row in rows] == [TRIED] * len(rows)


@pytest.mark.parametrize("setting", [KnownDataset], indirect=True)
def test_where_the_best_answer_is_known_the_regret_is_written_down(setting):
    pipeline, stages, recorder, _ = setting
    result = pipeline.run()
    assert result.content["regret"] == regret_of(result.genotype)
    told = [fields for name, fields in recorder.events if name == "search-best"]
    assert told[0]["regret"] == regret_of(stages.space.sample(seed=0))
    assert "regret" not in told[1]
    assert all("regret" not in fields for name, fields in recorder.events if name != "search-best")


@pytest.mark.parametrize("setting", [Dataset, AnotherSpacesDataset], indirect=True)
def test_where_no_best_answer_is_known_there_is_no_regret(setting):
    pipeline, _, recorder, _ = setting
    assert "regret" not in pipeline.run().content
    assert all("regret" not in fields for _, fields in recorder.events)


def test_an_interrupted_run_says_so_in_its_journal():
    recorder = Recorder()
    with pytest.raises(Interrupted), ending_noted(recorder):
        raise Interrupted(15)
    assert recorder.events == [("interrupted", {"reason": "stopped by SIGTERM"})]


def test_a_failed_run_says_why_in_its_journal():
    recorder = Recorder()
    with pytest.raises(ValueError, match="why"), ending_noted(recorder):
        raise ValueError("why")
    assert recorder.events == [("run-failed", {"error": "ValueError", "message": "why"})]
