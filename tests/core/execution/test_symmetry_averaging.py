"""Predictions averaged over the symmetries of the chosen policy, from the test to the export."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import medpipe_core as mp


@pytest.fixture(scope="module")
def run_of(registry, toy_values, tmp_path_factory):
    def start(**more):
        values = {
            **toy_values, "space": "medpipe-policy", "space.model": "toy-net",
            "space.model_parameters": {"width": 16}, "retrain.epochs": 3,
            "space.augment.layers": ["v_flip", "h_flip"], "space.augment.probabilities": [0.5],
            "run.root": str(tmp_path_factory.mktemp("averaging")), **more,
        }  # fmt: skip
        return mp.run(registry=registry, **values)

    return start


@pytest.fixture(scope="module")
def averaged(run_of):
    return run_of(**{"test.average": "symmetries"})


@pytest.fixture
def volumes(registry):
    return registry.factory("dataset", "toy")().sealed_test().open(after="a test").volumes


def decision(run):
    return json.loads((run.folder / "decision.json").read_text())


def told(run):
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    return np.array([float(row["probability of bright"]) for row in rows])


def test_both_flips_and_both_together_are_kept_with_the_decision(averaged):
    mirrored = [flags for _, flags in decision(averaged)["symmetries"]]
    assert sorted(mirrored) == [[False, False, True], [False, True, False], [False, True, True]]
    assert averaged.content["decision"]["symmetries"] == decision(averaged)["symmetries"]


def test_a_loaded_model_answers_as_the_test_did_and_the_same_for_mirrored_volumes(
    averaged, registry, volumes
):
    model = mp.load_model(averaged.folder, registry=registry)
    found = model.probabilities(volumes)[:, 1]
    np.testing.assert_allclose(found, told(averaged), atol=1e-5)
    for axis in (3, 4):
        mirrored = model.probabilities(np.flip(volumes, axis).copy())[:, 1]
        np.testing.assert_allclose(mirrored, found, atol=1e-6)


def test_nothing_is_averaged_where_none_is_asked_for(run_of, registry, volumes, averaged):
    plain = run_of(**{"test.average": "none"})
    assert decision(plain)["symmetries"] == []
    model = mp.load_model(plain.folder, registry=registry)
    one, other = (model.probabilities(v) for v in (volumes, np.flip(volumes, 3).copy()))
    assert np.abs(one - other).max() > 1e-4
    weights = [(run.folder / "weights.safetensors").read_bytes() for run in (plain, averaged)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_the_exported_network_averages_too(averaged, registry, volumes):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    export = mp.export_model(averaged.folder, registry=registry, volumes=volumes)
    assert all(check.agrees for check in export.checks.values())
    assert export.description["symmetries"] == decision(averaged)["symmetries"]
