"""Plugins that pip installs, each broken in its own way; the page shows what is said of each."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile
from textwrap import dedent

import pytest

PAGE = pathlib.Path(__file__).parents[3] / "docs/troubles.md"
HOOK = """\
from medpipe_core import hookimpl

@hookimpl
def medpipe_register(registry):
"""
BROKEN = {
    "acme-import": "import there_is_no_such_module",
    "acme-nothing": "x = 1",
    "acme-signature": HOOK.replace("registry)", "registry, colour)") + "    pass",
    "acme-half": HOOK
    + '    registry.register("block", "acme-half", dict)\n'
    + '    raise RuntimeError("the licence file is not there")',
    "acme-kind": HOOK + '    registry.register("augmentatoin", "acme-kind", dict)',
    "acme-taken": HOOK + '    registry.register("augmentation", "noise", dict)',
    "acme-twin": HOOK + '    registry.register("block", "acme-twin", dict)',
    "acme-newer": HOOK + '    registry.register("block", "acme-newer", dict)',
}
WORKING = HOOK + (
    '    registry.register("block", "acme-working", dict, summary="works")\n'
    '    registry.register("block", "acme-late", "acme_working:missing")'
)


def wheel(folder, name, code):
    """Build a wheel of one module and one entry point."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    group = "medpipe.plugins.v2" if name == "acme-newer" else "medpipe.plugins.v1"
    point = "medpipe-spaces" if name == "acme-twin" else name
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/entry_points.txt", f"[{group}]\n{point} = {module}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module")
def medpipe(tmp_path_factory):
    """Return a function that runs `medpipe` where all of them are installed."""
    folder = tmp_path_factory.mktemp("wheels")
    site = folder / "site-packages"
    wheels = [wheel(folder, n, code) for n, code in {**BROKEN, "acme-working": WORKING}.items()]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, site, *wheels], check=True)

    def run(*words, code=0):
        command = [
            sys.executable,
            "-c",
            "from medpipe_core.command.medpipe import main; exit(main())",
        ]
        done = subprocess.run(
            [*command, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def records(medpipe):
    return {record["distribution"]: record for record in json.loads(medpipe("plugins", "--json"))}


def shown(text):
    """Return a message as the page has it: its folder shortened, in one line."""
    return " ".join(re.sub(r"\S*/site-packages", "…/site-packages", text).split())


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_left_out_whole_and_the_page_shows_what_is_said(records, name):
    assert records[name]["status"] == "failed"
    assert records[name]["registered"] == []
    assert f"{name} 1.0" in records[name]["error"]
    assert shown(records[name]["error"]) in shown(PAGE.read_text())


def test_all_others_work(records, medpipe):
    assert records["acme-working"]["status"] == "loaded"
    assert "acme-working" in medpipe("list", "block")
    assert "medpipe-joint" in medpipe("list", "space")


def test_what_cannot_be_imported_is_told_when_it_is_asked_for(medpipe):
    said = medpipe("show", "block", "acme-late", code=3).removeprefix("medpipe: ")
    assert shown(said) in shown(PAGE.read_text())


def test_a_name_of_a_plugin_that_failed_is_told_with_its_failure(medpipe):
    said = medpipe("show", "block", "acme-half", code=3)
    assert "there is no block 'acme-half'" in said
    assert "the licence file is not there" in said
    assert dedent("acme-half 1.0") in said
