"""What a network answered for each volume, as a table that other programs read."""

from __future__ import annotations

import csv

import medpipe_core as mp
from medpipe_core.record.predictions_csv import Prediction, predictions_csv


def test_names_with_commas_and_quotes_survive():
    row = Prediction('a,"b"', "p1", "test", "benign, other", (0.25, 0.75), "malignant")
    text = predictions_csv(["benign, other", "malignant"], [row])
    headings, cells = csv.reader(text.splitlines())
    assert headings[-3:-1] == ["probability of benign, other", "probability of malignant"]
    assert cells == ['a,"b"', "p1", "test", "benign, other", "0.25", "0.75", "malignant"]


def test_a_run_tells_every_volume_of_all_three_parts(registry, toy_values, tmp_path):
    result = mp.run(registry=registry, **{**toy_values, "run.root": str(tmp_path)})
    with (result.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {part: sum(row["part"] == part for row in rows) for part in ("train", "validation")}
    assert counts == {"train": 24, "validation": 12}
    tested = [row for row in rows if row["part"] == "test"]
    assert len(tested) == 20
    assert len({row["case"] for row in rows}) == 56
    right = sum(row["decision"] == row["true class"] for row in tested) / 20
    assert abs(right - result.content["test_decided"]["accuracy"]["value"]) < 1e-9
    for row in rows:
        total = float(row["probability of dark"]) + float(row["probability of bright"])
        assert abs(total - 1) < 1e-5
