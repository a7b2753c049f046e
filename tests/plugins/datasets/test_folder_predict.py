"""A model that was trained on scans answers for new ones, prepared as those were."""

from __future__ import annotations

import csv
import json
import pathlib
import runpy
import shutil

import nibabel
import numpy as np
import pytest

import medpipe_core as mp
from medpipe_core.command.medpipe import main
from medpipe_core.config import RunFolderError
from medpipe_core.data import DataError, prepared
from medpipe_plugins.datasets.folder import FolderDataset
from medpipe_plugins.datasets.folder_facts import TrainingFacts, facts_of, summary, unlike
from medpipe_plugins.scans import read_scan

MADE = runpy.run_path(str(pathlib.Path(__file__).with_name("generate_scans.py")))
STEPS = [
    {"name": "orient"},
    {"name": "window", "parameters": {"low": -1000, "high": 200}},
    {"name": "slices", "parameters": {"count": 12}, "training": {"how": "random"}},
    {"name": "resize", "parameters": {"size": 8}},
]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return MADE["generate"](tmp_path_factory.mktemp("scans"), 20).parent


@pytest.fixture(scope="module")
def run(registry, tiny, scans, tmp_path_factory):
    return mp.run(
        registry=registry,
        **tiny,
        **{
            "dataset": "folder",
            "dataset.prepare": STEPS,
            "data.manifest": str(scans / "scans.csv"),
            "run.root": str(tmp_path_factory.mktemp("runs")),
        },
    )


@pytest.fixture(scope="module")
def model(run, registry):
    return mp.load_model(run.folder, registry=registry)


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run that may be changed: nothing compares it with what it was."""
    folder = shutil.copytree(run.folder, tmp_path / "copied")
    (folder / "checksums.json").unlink()
    return folder


def told(run, part):
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] == part]


def only(model, *inputs, **choice):
    (answer,) = model.predict(list(inputs), **choice)
    return answer


def test_scans_of_the_test_set_are_answered_as_the_run_did(run, model, scans):
    rows = told(run, "test")
    answers = model.predict([scans / row["case"] for row in rows])
    assert {row["case"][4:] for row in rows} == {".nii.gz", ""}  # NIfTI and DICOM
    for answer, row in zip(answers, rows, strict=True):
        assert answer.failed == ""
        assert answer.decision == row["decision"]
        for name in model.classes:
            expected = float(row[f"probability of {name}"])
            assert answer.probabilities[name] == pytest.approx(expected, abs=1e-5)


def test_a_scan_is_answered_alike_in_whatever_format(model, scans, tmp_path):
    scan = read_scan(scans / "0003.nii.gz")
    values, spacing = scan.values.astype(np.int16), scan.spacing
    MADE["write_nifti"](tmp_path / "turned.nii", values, spacing, "PIR")
    MADE["write_dicom"](tmp_path / "series", values, spacing, "1.2.3", "P1")
    known = only(model, scans / "0003.nii.gz").probabilities
    for name in ("turned.nii", "series"):
        assert only(model, tmp_path / name).probabilities == pytest.approx(known, abs=1e-6)
    upright = values[::-1, ::-1].transpose(2, 1, 0)[::-1]  # as DICOM's slices, from the top
    np.save(tmp_path / "bare.npy", upright[::-1])
    np.savez(tmp_path / "bare.npz", image=upright[::-1])
    for name in ("bare.npy", "bare.npz"):
        answer = only(model, tmp_path / name)
        assert answer.probabilities == pytest.approx(known, abs=1e-6)
        assert any("does not say how far voxels are apart" in w for w in answer.warnings)


def test_a_table_names_scans_by_paths_relative_to_it(model, scans, tmp_path):
    table = scans / "new.csv"
    table.write_text("path\n0003.nii.gz\nno such.nii\n0012\n")
    try:
        answers = model.predict([table])
    finally:
        table.unlink()
    assert [answer.case for answer in answers] == ["0003.nii.gz", "no such.nii", "0012"]
    assert [bool(answer.failed) for answer in answers] == [False, True, False]
    expected = model.predict([scans / "0003.nii.gz", scans / "0012"])
    assert answers[0].probabilities == expected[0].probabilities
    assert answers[2].probabilities == expected[1].probabilities
    (tmp_path / "wrong.csv").write_text("scan\nx.nii\n")
    assert "one column 'path'" in only(model, tmp_path / "wrong.csv").failed


def test_which_series_is_asked_and_can_be_said(model, scans, tmp_path):
    scan = read_scan(scans / "0003.nii.gz")
    values = scan.values.astype(np.int16)
    MADE["write_dicom"](tmp_path / "both" / "a", values, scan.spacing, "1.2.3", "P1")
    MADE["write_dicom"](tmp_path / "both" / "b", values[:, :, 4:], scan.spacing, "1.2.4", "P1")
    assert "holds 2 series" in only(model, tmp_path / "both").failed
    whole = only(model, scans / "0003.nii.gz").probabilities
    for series in ("largest", "1.2.3"):
        found = only(model, tmp_path / "both", series=series).probabilities
        assert found == pytest.approx(whole, abs=1e-6)
    assert only(model, tmp_path / "both", series="1.2.4").probabilities != whole


def test_what_a_scan_has_that_those_of_training_had_not_is_said(model, scans, tmp_path):
    assert only(model, scans / "0003.nii.gz").warnings == ()
    scan = read_scan(scans / "0003.nii.gz")
    values, (x, y, z) = scan.values.astype(np.int16), scan.spacing
    write_nifti, write_dicom = MADE["write_nifti"], MADE["write_dicom"]
    write_nifti(tmp_path / "thin.nii", np.repeat(values, 8, 2), (x, y, z / 8))
    write_nifti(
        tmp_path / "wide.nii", np.pad(values, ((90, 90), (0, 0), (0, 0)), "edge"), (x, y, z)
    )
    write_nifti(tmp_path / "bright.nii", values + 3000, (x, y, z))
    write_dicom(tmp_path / "mr", values, (x, y, z), "1.2.5", "P1", Modality="MR")
    for name, said in {
        "thin.nii": r"the spacing is ",
        "wide.nii": r"its size is ",
        "bright.nii": "the median of the intensities is ",
        "mr": "the modality is MR, of the training scans CT",
    }.items():
        answer = only(model, tmp_path / name)
        assert any(warning.startswith(said) for warning in answer.warnings), name
        assert answer.decision in model.classes


def test_volumes_in_memory_are_taken_as_prepared(run, model, registry, scans):
    chain = json.loads((run.folder / "preparation.json").read_text())
    volume = prepared(read_scan(scans / "0003.nii.gz"), chain, registry)
    known = only(model, scans / "0003.nii.gz").probabilities
    assert only(model, volume).probabilities == pytest.approx(known)
    assert model.predict(volume[None])[0].probabilities == pytest.approx(known)
    with pytest.raises(DataError, match="a list of files"):
        model.predict(str(scans / "0003.nii.gz"))


def test_the_command_answers_for_all_it_can_and_names_the_rest(run, scans, tmp_path, capsys):
    (tmp_path / "broken.nii").write_bytes(b"no scan")
    words = ["predict", run.folder, scans / "0003.nii.gz", tmp_path / "broken.nii", scans / "0012"]
    assert main([*map(str, words), "--csv", str(tmp_path / "answers.csv")]) == 1
    out, err = capsys.readouterr()
    assert "broken.nii" in err
    assert "no answer" in out
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["decision"]) for row in rows] == [True, False, True]
    assert "broken.nii" in rows[1]["failed"]
    assert main([*map(str, [*words[:3], words[4]]), "--json", "--series", "largest"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [answer["failed"] for answer in content["answers"]] == ["", ""]


def test_a_folder_of_an_older_run_answers_without_the_facts(copied, registry, scans, model):
    (copied / "scans.json").unlink()
    old = mp.load_model(copied, registry=registry)
    scan = scans / "0003.nii.gz"
    assert only(old, scan).probabilities == only(model, scan).probabilities


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("scans.json", "[]", "does not tell what scans are like"),
        ("scans.json", "{", "not usable JSON"),
        ("preparation.json", '[{"name": "windwo"}]', "cannot be prepared as they were"),
    ],
)
def test_a_damaged_folder_is_named(copied, registry, name, content, told):
    (copied / name).write_text(content)
    with pytest.raises(RunFolderError, match=told):
        mp.load_model(copied, registry=registry)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("x" * 5000, "cannot be opened"),
        ("no\0name", "cannot be opened"),
        ("~nobody-of-that-name/a.nii", "cannot be opened"),
        ("~nobody-of-that-name/a.csv", "cannot read the manifest"),
        ("a.nii;~nobody-of-that-name/b.nii", "a.nii: there is no such file"),
        ("", "an empty text is no path"),
        ("a.nii; ", "an empty text is no path"),
        (7, "is no path"),
        ([], "is no path"),
        ((1, 2), "is no path"),
    ],
)
def test_what_is_no_file_is_answered_by_saying_so(model, given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = only(model, given)
    assert told in answer.failed


def test_the_training_scans_need_not_be_there_any_more(copied, registry, model, scans, tmp_path):
    text = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(text.replace(str(scans), str(tmp_path / "gone")))
    moved = mp.load_model(copied, registry=registry)
    scan = scans / "0003.nii.gz"
    assert only(moved, scan).probabilities == only(model, scan).probabilities


def test_several_files_are_channels_of_one_scan(registry, tiny, tmp_path):
    rng, rows = np.random.default_rng(0), ["path,label,patient"]
    for number in range(20):
        names = [f"{number:02}_{which}.nii" for which in ("t1", "t2")]
        for name in names:
            image = nibabel.Nifti1Image(rng.random((9, 8, 7), np.float32), np.eye(4))
            nibabel.save(image, tmp_path / name)
        rows.append(f"{';'.join(names)},{number % 2},P{number}")
    (tmp_path / "scans.csv").write_text("\n".join(rows))
    keys = {
        "dataset": "folder",
        "dataset.prepare": [{"name": "resize", "parameters": {"size": 6}}],
        "data.manifest": str(tmp_path / "scans.csv"),
        "run.root": str(tmp_path / "runs"),
    }
    run = mp.run(registry=registry, **tiny, **keys)
    model = mp.load_model(run.folder, registry=registry)
    row = told(run, "test")[0]
    t1, t2 = (str(tmp_path / name) for name in row["case"].split(";"))
    for given in (f"{t1};{t2}", (t1, t2), [pathlib.Path(t1), t2]):
        answer = only(model, given)
        assert answer.case == f"{t1};{t2}"
        assert answer.probabilities["0"] == pytest.approx(float(row["probability of 0"]), abs=1e-5)
    assert "becomes (1, 6, 6, 6)" in only(model, t1).failed


@pytest.mark.slow
def test_an_export_says_how_scans_are_prepared_and_answers_alike(run, model, scans, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    files = [str(scans / name) for name in ("0003.nii.gz", "0012", "0013")]
    assert main(["export", str(run.folder), "--out", str(tmp_path), "--on", *files]) == 0
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])
    assert about["preparation"] == json.loads((run.folder / "preparation.json").read_text())
    assert about["classes"] == list(model.classes)
    assert {key: about[key] for key in ("temperature", "threshold")} == {
        "temperature": model.rule.temperature,
        "threshold": model.rule.threshold,
    }
    chain = about["preparation"]
    volumes = np.stack([prepared(read_scan(file), chain, mp.load_plugins()) for file in files])
    (found,) = session.run(["probabilities"], {"volumes": volumes})
    expected = [list(answer.probabilities.values()) for answer in model.predict(files)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    checks = json.loads((tmp_path / "model.json").read_text())["checks"]
    assert checks["model.onnx"]["volumes"] == 3
    assert checks["model.onnx"]["agrees"]


def test_an_export_is_not_checked_on_what_cannot_be_read(run, registry, scans, tmp_path):
    with pytest.raises(DataError, match=r"no such\.nii"):
        mp.export_model(run.folder, tmp_path, registry=registry, volumes=["no such.nii"])
    assert list(tmp_path.iterdir()) == []


def test_the_card_tells_the_spacing_of_the_prepared_volumes(registry, scans, tmp_path):
    chain = [{"name": "orient"}, {"name": "resample", "parameters": {"spacing": [8, 4, 4]}}]
    chain += [{"name": "centre", "parameters": {"size": 8}}, {"name": "normalise"}]
    given = {"registry": registry, "manifest": str(scans / "scans.csv")}
    for cache in (None, str(tmp_path), str(tmp_path)):
        card = FolderDataset(prepare=chain, cache=cache, **given).card
        assert card.spacing == pytest.approx((8, 4, 4))
        assert card.to_dict()["spacing"] == card.spacing
    for number in range(20):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).random((4, 4, 4)))
    rows = [f"{number}.npy,{number % 2}" for number in range(20)]
    (tmp_path / "bare.csv").write_text("\n".join(["path,label", *rows]))
    card = FolderDataset(registry=registry, manifest=str(tmp_path / "bare.csv")).card
    assert card.spacing is None
    assert "spacing" not in card.to_dict()


def test_facts_are_compared_with_what_is_known_alone(tmp_path):
    np.save(tmp_path / "flat.npy", np.full((3, 4, 5), np.nan, np.float32))
    bare = facts_of(read_scan(tmp_path / "flat.npy"))
    assert bare["intensities"] == [[]]
    assert unlike(summary([]), bare) == []
    assert unlike(TrainingFacts.kept({}), bare) == []
    assert unlike(summary([bare]), bare) == []
    for wrong in ({"spacing": [{"low": 1, "high": 2}]}, {"count": "many"}, {"shape": 3}):
        with pytest.raises(DataError, match=r"scans\.json"):
            TrainingFacts.kept(wrong)
    placed = {**bare, "spacing": [1.0, 1.0, 5.0], "extent": [3.0, 4.0, 25.0], "modality": "CT"}
    assert "its axes may run otherwise" in unlike(summary([bare]), placed)[0]
    assert unlike(summary([placed, bare]), bare) == []
    (said,) = unlike(summary([placed]), {**placed, "spacing": [1.0, 1.0, 5.6]})
    assert said == "the spacing is 1 × 1 × 5.6 mm, of the training scans 1 × 1 × 5 mm"
    assert unlike(summary([placed]), {**placed, "spacing": [1.0, 1.0, 5.4]}) == []
