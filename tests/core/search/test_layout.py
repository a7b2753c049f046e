"""Modules of this room stay small, and none imports itself by a detour."""

from __future__ import annotations

import ast
import graphlib
import pathlib

import medpipe_core.search

ROOM = pathlib.Path(medpipe_core.search.__file__).parent
MODULES = {path.stem: path for path in ROOM.glob("*.py")}


def imported(tree):
    """Iterate over the modules of the room that run when this code does, wherever they stand."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medpipe_core.sear"):
            yield node.module.rpartition(".")[2]
        yield from imported(node)


def test_no_module_is_long():
    lines = {name: path.read_text().count("\n") for name, path in MODULES.items()}
    assert max(lines.values()) <= 350, lines


def test_no_two_modules_import_each_other():
    graph = {name: set(imported(ast.parse(path.read_text()))) for name, path in MODULES.items()}
    assert graph["step"] >= {"probe", "training_gradient"}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError
