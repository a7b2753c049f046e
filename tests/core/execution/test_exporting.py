"""A network as files for other programs: they answer as the run did, and say what they are."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

import medpipe_core as mp
from medpipe_core.command.medpipe import main
from medpipe_core.data import DataError
from medpipe_core.execution import ExportError, TrainedModel, exported_files, exporting
from medpipe_core.train import DecisionRule


@pytest.fixture(scope="module")
def run(registry, toy_values, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return mp.run(registry=registry, **{**toy_values, "run.root": str(root)})


@pytest.fixture(scope="module")
def volumes(registry):
    return registry.factory("dataset", "toy")().sealed_test().open(after="a test").volumes


@pytest.fixture(scope="module")
def export(run, registry, volumes, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "deep" / "folder"
    return mp.export_model(run.folder, out, registry=registry, volumes=volumes)


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run that may be changed: nothing compares it with what it was."""
    folder = shutil.copytree(run.folder, tmp_path / "copied")
    (folder / "checksums.json").unlink()
    return folder


def told(run, classes):
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    return np.array([[float(row[f"probability of {name}"]) for name in classes] for row in rows])


@pytest.mark.parametrize("count", [1, 5, 20])
def test_the_files_answer_as_the_run_did_in_batches_of_any_length(run, export, volumes, count):
    expected = told(run, export.description["classes"])[:count]
    batch = (volumes[:count] / 255).astype(np.float32)
    with torch.no_grad():
        network = torch.export.load(export.folder / "model.pt2").module()
        found = network(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    evaluator = ReferenceEvaluator(str(export.folder / "model.onnx"))
    (found,) = evaluator.run(["probabilities"], {"volumes": batch})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_description_is_beside_the_files_and_in_them(run, export):
    content = json.loads((export.folder / "model.json").read_text())
    assert content == export.description
    assert content["batch"] == "any"
    assert content["shape"] == [1, 6, 6, 6]
    assert content["classes"] == ["dark", "bright"]
    assert content["genotype"] == run.genotype.digest
    assert content["space"] == {"name": "toy", "digest": run.genotype.space_digest}
    assert content["preparation"] is None
    assert content["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    decision = json.loads((run.folder / "result.json").read_text())["decision"]
    assert {key: content[key] for key in decision} == decision
    told = {"model.json": ""}
    torch.export.load(export.folder / "model.pt2", extra_files=told)
    model = onnx.load(export.folder / "model.onnx")
    (text,) = (prop.value for prop in model.metadata_props if prop.key == "model.json")
    for inner in (told["model.json"], text):
        own = json.loads(inner)
        assert own == {key: content[key] for key in own}
        assert set(content) - set(own) == {"sha256", "checks"}
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_files_name_no_folder_of_the_machine(export):
    for name in ("model.pt2", "model.onnx"):
        assert b".py" not in (export.folder / name).read_bytes()


def test_the_checks_are_told(export, volumes):
    assert set(export.checks) == {"model.pt2", "model.onnx"}
    for name, check in export.checks.items():
        assert check.agrees
        assert check.volumes == len(volumes)
        assert export.description["checks"][name]["largest_difference"] <= 1e-5


@pytest.mark.slow
def test_the_preparation_goes_along(copied, registry):
    chain = [{"name": "window", "low": -100}]
    (copied / "preparation.json").write_text(json.dumps(chain))
    assert mp.export_model(copied, registry=registry).description["preparation"] == chain
    (copied / "preparation.json").write_text("{")
    with pytest.raises(mp.MedpipeError, match=r"preparation\.json is not usable JSON"):
        mp.export_model(copied, registry=registry)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.zeros((2, 1, 6, 6, 7), np.uint8), r"takes volumes \(1, 6, 6, 6\)"),
        (np.zeros((0, 1, 6, 6, 6), np.uint8), "one volume at least"),
    ],
)
def test_volumes_to_check_on_have_to_fit(run, registry, tmp_path, given, reason):
    with pytest.raises(DataError, match=reason):
        mp.export_model(run.folder, tmp_path / "out", registry=registry, volumes=given)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_tells_what_it_wrote(run, tmp_path, capsys):
    folder = shutil.copytree(run.folder, tmp_path / "whole")
    assert main(["export", str(folder), "--trust-plugins"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "takes volumes (batch, 1, 6, 6, 6)" in out
    assert out.count("probabilities of 4 volumes differ by") == 2
    names = {path.name for path in (folder / "export").iterdir()}
    assert names == {"model.pt2", "model.onnx", "model.json"}
    assert main(["check", str(folder), "--trust-plugins"]) == 0


@pytest.mark.slow
def test_another_answer_is_told_and_ends_with_exit_code_1(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exported_files, "TOLERANCE", -1.0)
    words = ["export", str(run.folder), "--out", str(tmp_path / "out"), "--trust-plugins", "--json"]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "model.onnx does not answer as the network of the run does" in told.err
    content = json.loads(told.out)
    assert content["folder"] == str(tmp_path / "out")
    assert content["batch"] == 1
    assert content["checks"]["model.pt2"]["agrees"] is False
    assert json.loads((tmp_path / "out" / "model.json").read_text())["checks"] == content["checks"]


def test_what_stands_in_the_way_has_its_exit_code(copied, tmp_path, capsys, monkeypatch):
    words = ["export", str(copied), "--out", str(tmp_path / "out")]
    assert main(words) == 4
    assert "--trust-plugins" in capsys.readouterr().err
    (copied / "weights.safetensors").write_text("xx")
    assert main([*words, "--trust-plugins"]) == 4
    assert "weights.safetensors" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(words) == 3
    assert 'pip install "medpipe[export]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told_before_the_work(run, registry, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(exporting, "load_model", None)
    with pytest.raises(mp.MedpipeError, match=r"cannot write .*taken"):
        mp.export_model(run.folder, tmp_path / "taken", registry=registry)


class ForOne(nn.Module):
    """Takes one volume at a time only."""

    def forward(self, volumes):
        return volumes.reshape(1, -1)[:, :2] * 3


class Growing(nn.Module):
    """Decides by what it sees, which no exporter can record."""

    def forward(self, volumes):
        if volumes.sum().item() > 1:
            return volumes.flatten(1)[:, :2]
        return volumes.flatten(1)[:, 2:4]


class Drawing(nn.Module):
    """Holds an operation that ONNX has not."""

    def forward(self, volumes):
        return torch.special.bessel_j0(volumes.flatten(1)[:, :2])


def trained(network):
    return TrainedModel(network.eval(), ("a", "b"), DecisionRule(2.0), (1, 2, 2, 2), {})


def made(network):
    volumes = np.random.default_rng(0).random((3, 1, 2, 2, 2), np.float32)
    with torch.no_grad():
        logits = torch.cat([network(torch.from_numpy(one[None])) for one in volumes])
    expected = torch.softmax(logits.double() / 2, 1).numpy()
    return exporting._made(trained(network), {"known": 1}, volumes, expected)


@pytest.mark.slow
def test_a_network_for_one_volume_is_exported_for_one():
    found = made(ForOne())
    assert found.description == {"known": 1, "batch": 1}
    assert [check.volumes for check in found.checks.values()] == [3, 3]
    assert found.agrees
    model = onnx.load(io.BytesIO(found.files["model.onnx"]))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "who"), [(Growing(), "torch.export"), (Drawing(), "torch.onnx.export")]
)
def test_a_network_that_cannot_be_exported_is_refused_with_the_reason(network, who):
    with pytest.raises(ExportError, match=f"^{who}: "):
        made(network)


def test_what_onnx_itself_cannot_run_is_told_to_be_unchecked(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    node = onnx.helper.make_node("Unheard", ["volumes"], ["probabilities"], domain="acme")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2])
        for name in ("volumes", "probabilities")
    ]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("acme", 1)]
    ).SerializeToString()
    batch = np.zeros((1, 2), np.float32)
    check = exported_files.check_onnx_file(data, [batch], np.zeros((1, 2)))
    assert check.agrees is None
    assert check.ran_with.startswith("onnx.reference")
    assert "acme" in check.reason or "Unheard" in check.reason
