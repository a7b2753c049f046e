"""The bundle is a guest as any other: it imports only what the core offers to everybody."""

from __future__ import annotations

import ast
import importlib
import pathlib

import pytest

import medpipe_plugins

FOLDER = pathlib.Path(medpipe_plugins.__file__).parent
ROOMS = ("medpipe_core", "medpipe_core.data", "medpipe_core.testing")


def imported(path):
    """Return (module, name) of everything that a file imports from the core."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medpipe_core"):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.startswith("medpipe_core"))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.name)
def test_a_bundled_module_uses_only_public_names(path):
    for module, name in imported(path):
        assert module in ROOMS, f"{path}: {module} is none of {ROOMS}"
        assert name in importlib.import_module(module).__all__, f"{path}: {module}.{name}"


def test_the_core_imports_no_plugin():
    core = pathlib.Path(importlib.import_module("medpipe_core").__file__).parent
    texts = [path.read_text() for path in core.rglob("*.py")]
    assert texts
    assert not any("import medpipe_plugins" in t or "from medpipe_plugins" in t for t in texts)
