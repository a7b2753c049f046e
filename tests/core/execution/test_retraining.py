"""Several networks trained alike: they answer as one, from the retraining to the export."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import medpipe_core as mp
from medpipe_core.config import ConfigurationError, RunFolderError
from medpipe_core.config.settings import Keys
from medpipe_core.data import LabelledVolumes
from medpipe_core.execution.budget_plan import planned
from medpipe_core.execution.pace import Pace
from medpipe_core.execution.plan import plan
from medpipe_core.execution.trial import TrialFailedError
from medpipe_core.report.progress import line_of
from medpipe_core.supernet import Ensemble
from medpipe_core.train import ClassificationTask, predict


@pytest.fixture(scope="module")
def run_of(registry, toy_values, tmp_path_factory):
    def start(listeners=(), **more):
        root = str(tmp_path_factory.mktemp("members"))
        values = {**toy_values, "retrain.epochs": 2, "run.root": root, **more}
        return mp.run(registry=registry, listeners=list(listeners), **values)

    return start


@pytest.fixture(scope="module")
def events():
    return []


@pytest.fixture(scope="module")
def ensemble(run_of, events):
    def note(event, /, **fields):
        events.append((event, fields))

    return run_of([note], **{"retrain.members": 3})


@pytest.fixture
def volumes(registry):
    return registry.factory("dataset", "toy")().sealed_test().open(after="a test").volumes


def weights_of(run):
    return load_file(run.folder / "weights.safetensors")


def test_the_first_member_is_what_a_run_of_one_trains_and_the_others_are_not(run_of, ensemble):
    alone, together = weights_of(run_of()), weights_of(ensemble)
    assert len(together) == 3 * len(alone)
    for name, weight in alone.items():
        assert torch.equal(weight, together[f"members.0.{name}"])
    learned = next(name for name, weight in alone.items() if weight.ndim > 1)
    drawn = [together[f"members.{number}.{learned}"] for number in range(3)]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_its_probabilities_are_the_mean_of_its_members(ensemble, registry, volumes):
    model = mp.load_model(ensemble.folder, registry=registry)
    assert isinstance(model.network, Ensemble)
    data = LabelledVolumes(volumes, np.zeros(len(volumes), np.int64))
    task = ClassificationTask(model.classes)
    members = [predict(member, data, task=task) for member in model.network.members]
    assert np.ptp(members, axis=0).max() > 1e-4
    together = predict(model.network, data, task=task)
    np.testing.assert_allclose(together, np.mean(members, axis=0), atol=1e-6)


def test_a_loaded_ensemble_answers_as_its_test_did(ensemble, registry, volumes):
    model = mp.load_model(ensemble.folder, registry=registry)
    with (ensemble.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    told = [float(row["probability of bright"]) for row in rows]
    np.testing.assert_allclose(model.probabilities(volumes)[:, 1], told, atol=1e-5)


def test_result_and_progress_say_how_many_they_are(ensemble, run_of, events):
    assert ensemble.content["members"] == 3
    assert run_of().content["members"] == 1
    epochs = [fields for event, fields in events if event == "retrain-epoch"]
    told = [(fields["member"], fields["members"], fields["epoch"]) for fields in epochs]
    assert told == [(1, 3, 1), (1, 3, 2), (2, 3, 1), (2, 3, 2), (3, 3, 1), (3, 3, 2)]
    assert line_of("retrain-epoch", epochs[2]).startswith(
        "training the chosen network 2 of 3: epoch 1"
    )
    (planned_work,) = [f["stages"]["retrain"] for e, f in events if e == "plan"]
    assert planned_work["count"] == 6


def test_the_figures_on_validation_volumes_are_the_ensembles(ensemble, registry):
    model = mp.load_model(ensemble.folder, registry=registry)
    validation = registry.factory("dataset", "toy")().development().validation
    task = ClassificationTask(model.classes)
    found = task.figures(predict(model.network, validation, task=task), validation.labels)
    for name, value in found.items():
        assert ensemble.validation[name] == pytest.approx(value, abs=1e-6)


def test_time_is_planned_for_every_member():
    def of(members):
        return Keys.model_validate(
            {"search": {"hours": 1.0}, "retrain": {"members": members, "epochs": 10}}
        )

    works = [plan(of(n), 64, trains_weights=False)["retrain"].work for n in (1, 4)]
    assert works[1] == 4 * works[0]
    pace = Pace(step=0.1, look=0.2, start=0.3)
    seconds = [planned(of(n), 64, trains_weights=True, pace=pace).retrain_seconds for n in (1, 4)]
    assert seconds[1] == pytest.approx(4 * seconds[0])


def test_a_member_that_fails_is_named(run_of, monkeypatch):
    from medpipe_core.execution.trial import TrialRecord, TrialRunner

    real, seen = TrialRunner.run, []

    def run(runner, trial, emit, memory=None):
        if trial.purpose == "retrain":
            seen.append(trial)
            if len(seen) == 2:
                return TrialRecord(trial, failed="its loss is not finite")
        return real(runner, trial, emit, memory)

    monkeypatch.setattr(TrialRunner, "run", run)
    with pytest.raises(TrialFailedError, match="member 2 of 3 failed: its loss is not finite"):
        run_of(**{"retrain.members": 3})
    assert len(seen) == 2


@pytest.mark.parametrize("members", [0, -1, 101, 2.5, "three"])
def test_a_number_that_cannot_be_is_refused(run_of, members):
    with pytest.raises(ConfigurationError, match=r"retrain\.members"):
        run_of(**{"retrain.members": members})


@pytest.mark.parametrize("told", [0, 10**9, "3", True, None, [3]])
def test_a_foreign_number_is_refused(ensemble, registry, tmp_path, told):
    folder = shutil.copytree(ensemble.folder, tmp_path / "foreign")
    (folder / "checksums.json").unlink()
    content = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**content, "members": told}))
    with pytest.raises(RunFolderError, match="members="):
        mp.load_model(folder, registry=registry)


def test_a_run_of_before_there_were_ensembles_is_one_network(run_of, registry, volumes, tmp_path):
    folder = shutil.copytree(run_of().folder, tmp_path / "old")
    (folder / "checksums.json").unlink()
    content = json.loads((folder / "result.json").read_text())
    del content["members"]
    (folder / "result.json").write_text(json.dumps(content))
    model = mp.load_model(folder, registry=registry)
    assert not isinstance(model.network, Ensemble)
    assert model.probabilities(volumes).shape == (len(volumes), 2)


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(ValueError, match="give one at least"):
        Ensemble([])


@pytest.mark.slow
def test_the_exported_network_is_the_ensemble(ensemble, registry, volumes):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    export = mp.export_model(ensemble.folder, registry=registry, volumes=volumes)
    assert all(check.agrees for check in export.checks.values())
