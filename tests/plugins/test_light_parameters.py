"""What a name of the bundle takes is told without what it computes with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from medpipe_core.data import DATA_FOLDER_VARIABLE
from medpipe_core.plugins import KINDS, list_parameters, load_plugins
from medpipe_core.plugins.parameters import model_of

ASK = """
import sys
from medpipe_core.plugins import KINDS, list_parameters, load_plugins

HEAVY = ("numpy", "scipy", "torch", "kornia", "numba", "optuna", "yaml", "safetensors", "rich")
registry = load_plugins(strict=True)
# A preparation is its own settings, and asked for when scans are there to be read.
KINDS = [kind for kind in KINDS if kind != "preparation"]
for kind in KINDS:
    for name in registry.names(kind):
        list_parameters(registry.entry(kind, name).parameters())
        found = [heavy for heavy in HEAVY if heavy in sys.modules]
        if found:
            raise SystemExit(f"{kind} {name}: imports {found}")
print(sum(len(registry.names(kind)) for kind in KINDS))
"""


def test_the_parameters_of_every_name_of_the_bundle_are_told_without_anything_heavy():
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    registry = load_plugins()
    told = [kind for kind in KINDS if kind != "preparation"]
    assert int(done.stdout) == sum(len(registry.names(kind)) for kind in told) > 0


@pytest.mark.parametrize("kind", ["augmentation", "block"])
def test_what_is_told_of_an_operation_is_what_its_constructor_takes(kind):
    registry = load_plugins()
    for name in registry.names(kind):
        entry = registry.entry(kind, name)
        told = list_parameters(entry.parameters())
        taken = list_parameters(model_of(entry.load(), name))
        assert [(p.name, p.type, p.required, p.default) for p in told] == [
            (p.name, p.type, p.required, p.default) for p in taken
        ], name
        described = {p.name: p.description for p in taken if p.description}
        assert {p.name: p.description for p in told if p.name in described} == described, name


def test_the_folder_of_data_is_named_as_the_core_reads_it():
    [root] = [
        p
        for p in list_parameters(load_plugins().entry("dataset", "adrenalmnist3d").parameters())
        if p.name == "root"
    ]
    assert f"${DATA_FOLDER_VARIABLE} " in root.description
