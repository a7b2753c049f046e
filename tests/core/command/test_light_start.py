"""What is told at once imports nothing heavier than pydantic."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "torch", "rich", "kornia", "numba", "optuna", "safetensors")
# A dataset whose settings cost nothing, so that the command's own part is what is held here.
LIGHT = """
from pydantic import BaseModel
from medpipe_core import hookimpl

class Settings(BaseModel):
    size: int = 8

@hookimpl
def medpipe_register(registry):
    registry.register("dataset", "light", "light_heavy:Dataset", parameters=Settings)
"""


@pytest.fixture
def light(tmp_path):
    path = tmp_path / "light.py"
    path.write_text(LIGHT)
    return [f"plugins.load=[{path}]", "dataset=light"]


def heavy_after(command, *words):
    """Return the code of a command in a process of its own, and what it imported of `HEAVY`."""
    code = (
        f"import sys\nfrom medpipe_core.command.{command} import main\ncode = main(sys.argv[1:])\n"
        f"found = [m for m in {HEAVY} if m in sys.modules]\n"
        "sys.stderr.write(f'\\n{code} {found}')"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    last, _, modules = process.stderr.splitlines()[-1].partition(" ")
    return int(last), modules


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--cfg"], 0),
        (["serch.epochs=3"], 2),
        (["space=medpipe-jiont", "searcher=gumble", "seed=true"], 2),
        (["-m", "seed=0,1", "search.epochs=0"], 2),
        (["searcher=decoupled", "searcher.model=no-such"], 2),
        (["--version"], 0),
    ],
    ids=["help", "cfg", "key", "name", "sweep", "model", "version"],
)
def test_help_and_refusals_of_a_run_import_nothing_heavy(light, words, code):
    assert heavy_after("medpipe_run", *light, *words) == (code, "[]")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["plugins"], 0),
        (["list", "dataset"], 0),
        (["list", "blocks"], 2),
        (["show", "searcher", "gumbel"], 0),
        (["report", "nowhere"], 4),
    ],
    ids=["help", "version", "plugins", "list", "kind", "show", "report"],
)
def test_what_is_installed_is_told_without_anything_heavy(words, code):
    assert heavy_after("medpipe", *words) == (code, "[]")


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["--cfg"], 0), (["serch.epochs=3", "space=medpipe-jiont"], 2)],
)
def test_so_it_is_with_what_the_bundle_registers(words, code):
    assert heavy_after("medpipe_run", *words) == (code, "[]")


def test_what_a_run_consists_of_imports_nothing_that_few_runs_need():
    code = (
        "import importlib, pkgutil, sys\n"
        "for room in ('data', 'execution', 'search', 'supernet', 'train'):\n"
        "    package = importlib.import_module(f'medpipe_core.{room}')\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        'optuna' in found.name or importlib.import_module(found.name)\n"
        "import medpipe_plugins.datasets.phantom3d\n"
        "heavy = ('scipy.stats', 'kornia', 'optuna', 'onnx', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"
