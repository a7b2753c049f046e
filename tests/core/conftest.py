"""A registry with a toy space and dataset, and the command in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medpipe_core.config import resolve
from medpipe_core.plugins import load_plugins

TOY = Path(__file__).with_name("toy_plugin.py")
TOY_VALUES = {
    "plugins.load": [str(TOY)],
    "space": "toy",
    "searcher": "random",
    "dataset": "toy",
    "threads": 1,
    "search.epochs": 1,
    "search.batch_size": 4,
    "evaluate.batch_size": 4,
    "evaluate.epochs": 2,
    "retrain.batch_size": 4,
    "retrain.epochs": 2,
    "test.resamples": 20,
}


@pytest.fixture(scope="session")
def registry():
    return load_plugins(load=[TOY])


@pytest.fixture(scope="session")
def toy_values():
    return TOY_VALUES


@pytest.fixture
def toy_words(tmp_path):
    values = {**TOY_VALUES, "plugins.load": f"[{TOY}]", "run.root": tmp_path / "runs"}
    return [f"{key}={value}" for key, value in values.items()]


@pytest.fixture
def toy_configuration(registry, tmp_path):
    return resolve({**TOY_VALUES, "run.root": str(tmp_path / "runs")}, registry)


@pytest.fixture
def in_time():
    """Fail a test that waits for something that never comes, such as the writer of a pipe."""

    def end(*_):
        pytest.fail("it did not end within a minute")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def command(tmp_path):
    """Start `medpipe-run` with words; `probe` is Python that runs after it."""

    def start(*words, probe="", before="", **popen):
        code = (
            f"import sys\n{before}\nfrom medpipe_core.command.medpipe_run import main\n"
            f"code = main(sys.argv[1:])\n{probe}\nsys.exit(code)\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            **popen,
        )

    return start
