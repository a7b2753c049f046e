"""The example distribution as a stranger has it: installed and run in an environment of its own."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

pytestmark = pytest.mark.slow
EXAMPLE = pathlib.Path(__file__).parents[2] / "docs/examples/medpipe-acme"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Install the example into an environment of its own, beside what is installed here."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(EXAMPLE, folder / "medpipe-acme")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    here = sysconfig.get_path("purelib")
    [packages] = (folder / "venv/lib").glob("python3*/site-packages")
    # medpipe and torch are looked up here, so that they need not be installed again.
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    words = [python, "-m", "pip", "install", "-q", "--no-deps", folder / "medpipe-acme"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot build a package here: {done.stderr.strip().splitlines()[-1]}")
    return folder / "medpipe-acme", python


def run(environment, *words):
    folder, python = environment
    done = subprocess.run(
        [python, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(environment):
    assert " passed" in run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


def test_its_plugins_are_listed_with_their_origin(environment):
    code = "from medpipe_core.command.medpipe import main; main(['list', 'augmentation', '--json'])"
    listed = {entry["name"]: entry for entry in json.loads(run(environment, "-c", code))}
    assert listed["acme-gamma"]["distribution"] == "medpipe-acme"
    assert listed["acme-gamma"]["version"] == "1.0"


def test_its_estimator_teaches_a_search(environment):
    words = (
        "dataset=acme-stripes", "dataset.size=8", "dataset.count=32", "run.root=estimated",
        "searcher.estimator=acme-balanced", "searcher.estimator_parameters={temperature: 2}",
        "search.epochs=4", "search.warmup_epochs=0", "evaluate.top_k=1", "evaluate.epochs=1",
        "retrain.epochs=1",
    )  # fmt: skip
    code = "import sys; from medpipe_core.command.medpipe_run import main; sys.exit(main())"
    run(environment, "-c", code, *words)
    [config] = (environment[0] / "estimated").glob("*/config.yaml")
    assert "searcher.estimator: acme-balanced\n" in config.read_text()
    [events] = (environment[0] / "estimated").glob("*/events.jsonl")
    told = [json.loads(line) for line in events.read_text().splitlines()]
    entropies = [event["insight"]["entropy"] for event in told if event["event"] == "search-best"]
    assert entropies[-1] < entropies[0] <= 1


def test_a_misspelt_estimator_is_told_with_the_nearest(environment):
    folder, python = environment
    code = "import sys; from medpipe_core.command.medpipe_run import main; sys.exit(main())"
    words = [python, "-c", code, "searcher.estimator=acme-balance"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "there is no estimator 'acme-balance'. Did you mean 'acme-balanced'" in done.stderr


def test_everything_of_it_runs_in_the_papers_space(environment):
    words = (
        "dataset=acme-stripes", "dataset.size=8", "dataset.count=32", "searcher=acme-climb",
        "space.augment.extra=[acme-gamma]", "space.network.candidates=[acme-conv,identity]",
        "search.epochs=1", "evaluate.top_k=1", "evaluate.epochs=1", "retrain.epochs=1",
    )  # fmt: skip
    code = "import sys; from medpipe_core.command.medpipe_run import main; sys.exit(main())"
    out = run(environment, "-c", code, *words)
    assert "acme-gamma" in out
    [result] = (environment[0] / "runs").glob("*/genotype.json")
    assert json.loads(result.read_text())["provenance"] == {
        "medpipe": json.loads(result.read_text())["provenance"]["medpipe"],
        "medpipe-acme": "1.0",
    }
