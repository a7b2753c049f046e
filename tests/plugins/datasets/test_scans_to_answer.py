"""One command from a manifest to a tested model, one more to answers, one to a file for others."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import runpy

import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.command.medpipe import main
from medpipe_core.command.medpipe_run import main as medpipe_run
from medpipe_core.data import prepared
from medpipe_plugins.scans import read_scan

pytestmark = pytest.mark.slow

DATA = pathlib.Path(
    os.environ.get("MEDPIPE_DATA", pathlib.Path(__file__).parents[3] / ".." / "shared" / "data")
)
MADE = runpy.run_path(str(pathlib.Path(__file__).with_name("generate_scans.py")))
WORDS = [
    "space=medpipe-mbconv3d",
    "space.stem_channels=4",
    "space.channels=[4]",
    "space.depths=[1]",
    "space.candidates=[mbconv_k3_e3,identity]",
    "searcher=random",
    "search.epochs=1",
    "evaluate.epochs=1",
    "evaluate.top_k=1",
    "retrain.epochs=1",
    "test.resamples=20",
    "threads=1",
]


def trained(root, *words):
    assert medpipe_run(["dataset=folder", f"run.root={root}", *WORDS, *words]) == 0
    (folder,) = root.iterdir()
    return folder


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answered(folder, files, out):
    """Return what the command answers, class 1's probability by case."""
    assert main(["predict", str(folder), *map(str, files), "--csv", str(out)]) == 0
    rows = rows_of(out)
    column = [name for name in rows[0] if name.startswith("probability of ")][1]
    return {row["case"]: float(row[column]) for row in rows}


def by_onnx(folder, files, out):
    """Return what the exported file answers for scans that are prepared as it says."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert main(["export", str(folder), "--out", str(out), "--on", *map(str, files)]) == 0
    chain = json.loads((out / "model.json").read_text())["preparation"]
    session, registry = runtime.InferenceSession(out / "model.onnx"), mp.load_plugins()
    volumes = np.stack([prepared(read_scan(file), chain, registry) for file in files])
    return session.run(["probabilities"], {"volumes": volumes})[0][:, 1]


def test_three_hundred_scans_of_two_formats_and_any_spacing(tmp_path):
    manifest = MADE["generate"](tmp_path / "scans", 300)
    words = ("dataset.prepare=ct-lung", "dataset.size=12")
    folder = trained(tmp_path / "runs", f"data.manifest={manifest}", *words)
    parts = rows_of(folder / "predictions.csv")
    assert len(parts) == 300
    facts = json.loads((folder / "scans.json").read_text())
    assert facts["count"] == sum(row["part"] == "train" for row in parts)
    low, high = (facts["spacing"][2][end] for end in ("low", "high"))
    assert high - low > 3
    new = MADE["generate"](tmp_path / "new", 6, seed=1, formats="dicom")
    files = [new.parent / row["path"] for row in rows_of(new)]
    found = answered(folder, files, tmp_path / "answers.csv")
    assert all(not row["warnings"] for row in rows_of(tmp_path / "answers.csv"))
    assert found == pytest.approx(
        dict(zip(map(str, files), by_onnx(folder, files, tmp_path / "out"), strict=True)), abs=1e-5
    )


def test_twenty_vessels_then_the_same_as_dicom(tmp_path):
    source = DATA / "vessel_nifti"
    if not source.exists():
        pytest.skip("vessel_nifti is not there; name its folder in MEDPIPE_DATA")
    folder = trained(
        tmp_path / "runs",
        f"data.manifest={source / 'labels.csv'}",
        f"data.root={source / 'images'}",
        "dataset.prepare=[{name: orient}, {name: normalise}, "
        "{name: resize, parameters: {size: 12}}]",
    )
    parts = rows_of(folder / "predictions.csv")
    names = [row["case"] for row in parts if row["part"] == "test"]
    for name in names:
        scan = read_scan(source / "images" / name)
        values = np.rint(scan.values).astype(np.int16)
        MADE["write_dicom"](tmp_path / name, values, scan.spacing, f"1.2.{len(name)}", "P")
    files = [tmp_path / name for name in names]
    found = answered(folder, files, tmp_path / "answers.csv")
    told = {row["case"]: float(row["probability of 1"]) for row in parts}
    exact = all((read_scan(source / "images" / n).values % 1 == 0).all() for n in names)
    for name, file in zip(names, files, strict=True):
        assert found[str(file)] == pytest.approx(told[name], abs=1e-5 if exact else 1e-2)
    exported = by_onnx(folder, files, tmp_path / "out")
    assert list(found.values()) == pytest.approx(exported.tolist(), abs=1e-5)
