"""The command: help, checks, exit codes."""

from __future__ import annotations

import importlib.metadata
import json
import signal
import subprocess
import sys

import pytest
import yaml

from medpipe_core.command import single_run, sweep
from medpipe_core.command.exit_codes import exit_code_of
from medpipe_core.command.medpipe import main as medpipe
from medpipe_core.command.medpipe_run import main
from medpipe_core.config import ConfigurationError, RunFolderError, StorageError
from medpipe_core.config.configuration import GROUPS
from medpipe_core.config.presets import PRESETS
from medpipe_core.errors import MedpipeError
from medpipe_core.execution.results import RunResult
from medpipe_core.plugins import MissingPluginError, PluginError

NO_TORCH = "assert 'torch' not in sys.modules, 'torch was imported'"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--cfg"],
        ["serch.epochs=3", "seed=x", "space=medpipe-jiont", "searcher=gumble"],
        ["-m", "seed=0,1", "search.epochs=0,1"],
    ],
    ids=["help", "cfg", "errors", "sweep errors"],
)
def test_torch_is_not_imported_before_a_configuration_is_checked(command, words):
    process = command(*words, probe=NO_TORCH)
    _, errors = process.communicate()
    assert "torch was imported" not in errors
    assert process.returncode == (2 if len(words) > 1 else 0)


def test_help_tells_options_members_keys_and_codes(capsys, registry):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for group in GROUPS:
        assert all(
            any(n in line for line in lines) for n in registry.names(group) if "toy" not in n
        )
    for preset in PRESETS:
        assert any(line.startswith(preset) for line in lines)
    assert any(line.startswith("seed=0 ") for line in lines)
    epochs = PRESETS["quick"]["retrain.epochs"]
    assert any(line.startswith(f"retrain.epochs={epochs} ") for line in lines)
    assert "143" in text
    assert "--resume" in text


def test_both_commands_tell_their_version(capsys):
    for command in (main, medpipe):
        assert command(["--version"]) == 0
        assert capsys.readouterr().out == f"medpipe {importlib.metadata.version('medpipe')}\n"


def test_python_m_is_the_command():
    words = [sys.executable, "-m", "medpipe_core", "serch.epochs=3"]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.returncode == 2
    assert "Did you mean 'search.epochs'" in process.stderr


def test_help_follows_the_words(capsys, toy_words):
    assert main(["--help", *toy_words, "preset=paper"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "space.width=4 channels of every block" in text
    assert "retrain.epochs=200 " in text


def test_a_printed_configuration_gives_itself_back(capsys, toy_words, tmp_path):
    assert main([*toy_words, "--cfg", "seed=4"]) == 0
    first = capsys.readouterr().out
    assert yaml.safe_load(first)["seed"] == 4
    path = tmp_path / "config.yaml"
    path.write_text(first)
    for words in (["--config", str(path)], [f"--config={path}"], [str(path)]):
        assert main(["--cfg", "--trust-plugins", *words]) == 0
        assert capsys.readouterr().out == first
    assert main(["--cfg", "--trust-plugins", "--config", str(path), "seed=5"]) == 0
    assert capsys.readouterr().out == first.replace("seed: 4", "seed: 5")


def test_all_that_is_wrong_with_a_line_is_told_at_once(capsys, toy_words, tmp_path):
    code = main(
        [*toy_words, "--hepl", "serch.epochs=2", "presett=quick", "space.widht=3",
         "evaluate.top_k=[", "device=0,1", "--config", str(tmp_path / "none.yaml")]
    )  # fmt: skip
    assert code == 2
    errors = capsys.readouterr().err.splitlines()
    for near in ("--help", "search.epochs", "preset", "space.width", "none.yaml", "0,1"):
        assert any(near in line for line in errors), near
    assert any("evaluate.top_k" in line and "cannot be read" in line for line in errors)
    assert all(line.startswith("medpipe-run: ") for line in errors)


def test_a_list_without_a_sweep_says_what_is_meant(capsys, toy_words):
    assert main([*toy_words, "seed=0,1"]) == 2
    assert "-m" in capsys.readouterr().err


def test_a_root_that_cannot_be_used_is_told_before_the_run(capsys, toy_words, tmp_path):
    (tmp_path / "file").write_text("")
    words = [word for word in toy_words if not word.startswith("run.root")]
    assert main([*words, f"run.root={tmp_path / 'file'}"]) == 2
    assert "run.root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(["x"]), 2),
        (ConfigurationError(["x"], exit_code=3), 3),
        (PluginError("x"), 3),
        (MissingPluginError("x"), 3),
        (RunFolderError("x"), 4),
        (StorageError("x"), 1),
        (MedpipeError("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error, code):
    assert exit_code_of(error) == code


def test_a_missing_plugin_ends_with_code_3(capsys, toy_words):
    words = [word for word in toy_words if not word.startswith("space=")]
    assert main([*words, "space=acme:big"]) == 3
    assert "acme:big" in capsys.readouterr().err


def test_a_sweep_runs_all_and_tells_of_each(capsys, toy_words, monkeypatch, tmp_path):
    seen = []

    def one(configuration, registry, stop):
        seen.append((configuration.keys.seed, configuration.searcher))
        if configuration.keys.seed == 1:
            raise MedpipeError("seed one is cursed")
        test = {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}, "auc": 0.7}
        return RunResult(tmp_path / f"some where {len(seen)}", None, {"test": test})

    monkeypatch.setattr(sweep.sweep, "__defaults__", (one,))
    words = [word for word in toy_words if not word.startswith("searcher=")]
    assert main([*words, "-m", "seed=0,1,2", "searcher=random,gumbel"]) == 1
    assert seen == [(s, n) for s in (0, 1, 2) for n in ("random", "gumbel")]
    out, errors = capsys.readouterr()
    assert errors.count("seed one is cursed") == 2
    table = out.split("Sweep, on the test set")[1].splitlines()
    assert table[1].split()[:3] == ["seed", "searcher", "accuracy"]
    assert len(table) == 10
    folders = [f"'{tmp_path / f'some where {number}'}'" for number in (1, 2, 5, 6)]
    assert table[-1] == f"To compare them: medpipe compare {' '.join(folders)}"
    assert "0.500 (0.400 to 0.600)" in table[2]
    assert "failed" in table[4]


def test_nothing_of_a_sweep_runs_when_one_of_its_runs_is_wrong(capsys, toy_words, monkeypatch):
    monkeypatch.setattr(single_run, "execute", lambda *_, **__: pytest.fail("a run began"))
    assert main([*toy_words, "-m", "space.width=2,0,-1"]) == 2
    errors = capsys.readouterr().err
    assert "(given 0)" in errors
    assert "(given -1)" in errors


@pytest.mark.slow
def test_a_run_from_words_to_report(command, toy_words, tmp_path):
    process = command(*toy_words)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    (folder,) = (tmp_path / "runs").iterdir()
    assert {p.name for p in folder.iterdir()} == {
        "config.yaml", "plugins.json", "environment.json", "events.jsonl", "genotype.json",
        "policy.txt", "result.json", "weights.safetensors", "report.html", "checkpoints",
        "checksums.json", "run.lock", "decision.json", "predictions.csv",
        "data_card.json", "split.csv",
    }  # fmt: skip
    assert "always answering 'dark'" in out
    assert str(folder) in out
    plugins = json.loads((folder / "plugins.json").read_text())
    assert any(p["name"] == "toy_plugin" and p["status"] == "loaded" for p in plugins)
    again = main(["--cfg", "--trust-plugins", "--config", str(folder)])
    assert again == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
@pytest.mark.slow
def test_a_signal_ends_a_run_cleanly(command, toy_words, tmp_path, number, code):
    words = [word for word in toy_words if not word.startswith("search.epochs")]
    process = command(*words, "search.epochs=100000")
    for line in process.stdout:
        if "searching: epoch 2" in line:
            process.send_signal(number)
            break
    _, errors = process.communicate()
    assert process.returncode == code
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"interrupted; what there is of the run is in {folder}" in errors
    last = json.loads((folder / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "interrupted"
    assert not (folder / "result.json").exists()


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_code_1_and_a_reason(command, toy_words):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))\n"
    process = command(*toy_words, before=limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "cannot write" in errors
    assert "Traceback" not in errors
