"""From a folder of scans to a tested model, and the keys that lead there."""

from __future__ import annotations

import csv
import json
import os
import pathlib

import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.config import ConfigurationError
from medpipe_core.config.configuration import read_file, resolve
from medpipe_core.data import prepared
from medpipe_plugins.scans import read_scan

DATA = pathlib.Path(
    os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
)
STEPS = [{"name": "normalise"}, {"name": "resize", "parameters": {"size": [6, 8, 8]}}]


def test_a_chain_of_steps_is_a_value_of_a_key_and_survives_the_file(registry):
    given = {"dataset": "folder", "dataset.prepare": STEPS, "data.manifest": "scans.csv"}
    configuration = resolve(given, registry)
    assert configuration.parameters["dataset"]["prepare"] == STEPS
    again = resolve({}, registry, base=read_file(configuration.to_yaml(), "config.yaml"))
    assert again.flat() == configuration.flat()
    assert again.keys.data.manifest == "scans.csv"


def test_a_misspelt_preset_or_step_is_refused_with_the_nearest(registry):
    for prepare, told in (("ct-lnug", "ct-lung"), ([{"name": "resise"}], "resize")):
        with pytest.raises(ConfigurationError, match=told):
            resolve({"dataset": "folder", "dataset.prepare": prepare}, registry)


def test_a_manifest_is_refused_by_a_dataset_that_takes_none(registry):
    with pytest.raises(ConfigurationError, match=r"data\.manifest: .*does not take it"):
        resolve({"dataset": "phantom3d", "data.manifest": "scans.csv"}, registry)


@pytest.mark.slow
def test_twenty_nifti_files_become_a_tested_model(registry, tiny, tmp_path):
    folder = DATA / "vessel_nifti"
    if not folder.exists():
        pytest.skip("vessel_nifti is not there; name its folder in MEDPIPE_DATA")
    keys = {
        **tiny,
        "dataset": "folder",
        "data.manifest": str(folder / "labels.csv"),
        "data.root": str(folder / "images"),
        "dataset.prepare": STEPS,
        "run.root": str(tmp_path),
    }
    result = mp.run(registry=registry, **keys)
    assert 0 <= result.test["accuracy"]["value"] <= 1
    chain = json.loads((result.folder / "preparation.json").read_text())
    assert [step["name"] for step in chain] == ["normalise", "resize"]
    with (folder / "labels.csv").open() as file:
        labels = {row["file"]: row["label"] for row in csv.DictReader(file)}
    with (result.folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    case, true = "case", "true class"
    assert {row[case]: row[true] for row in rows} == labels
    volume = prepared(read_scan(folder / "images" / rows[0][case]), chain, registry)
    assert volume.shape == (1, 6, 8, 8)
    assert volume.dtype == np.float32
    assert result.content["card"]["notes"][1].startswith("Prepared by: normalise")
