"""What a plugin does while it is imported stays its own: prints, seeds, exits."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from medpipe_core import load_plugins
from medpipe_core.plugins import PluginError
from medpipe_core.plugins.import_isolation import isolated_import

NOISY = """
    import random
    import numpy
    import torch
    from medpipe_core import hookimpl

    print("imported")
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)

    @hookimpl
    def medpipe_register(registry):
        print("registered")
        random.seed(0)
        registry.register("augmentation", "lazy", "acme_lazy:make")
"""
LAZY = """
import random, numpy, torch
print("imported later")
random.seed(0); numpy.random.seed(0); torch.manual_seed(0)
def make():
    return "made"
"""


def _draws():
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


@pytest.fixture
def noisy(site):
    site.install("acme", NOISY)
    (site.path / "acme_lazy.py").write_text(LAZY)
    return site


def test_what_a_plugin_prints_on_import_goes_to_standard_error(noisy, capsys):
    registry = load_plugins()
    assert registry.create("augmentation", "lazy") == "made"
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.split() == ["imported", "registered", "imported", "later"]


def test_a_plugin_that_seeds_global_generators_on_import_changes_no_draw(noisy):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    expected = _draws()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    load_plugins().create("augmentation", "lazy")
    assert _draws() == expected


def test_generators_that_an_import_brings_along_are_as_in_a_fresh_process():
    code = """
import random, sys
from medpipe_core.plugins.import_isolation import isolated_import
with isolated_import():
    import numpy, torch
    random.seed(0); numpy.random.seed(0); torch.manual_seed(0)
print(random.random(), numpy.random.random(), torch.initial_seed())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    python, numpy, seed = done.stdout.split()
    assert float(python) != random.Random(0).random()
    assert float(numpy) != np.random.RandomState(0).random()
    assert int(seed) == torch.Generator().initial_seed()


def test_standard_output_is_back_after_a_failed_import(capsys):
    with pytest.raises(ZeroDivisionError), isolated_import():
        1 / 0  # noqa: B018
    print("here")
    assert capsys.readouterr().out == "here\n"


@pytest.mark.parametrize(
    "line",
    [
        "import sys; sys.exit(3)",
        "raise SystemExit",
        "raise GeneratorExit",
        "class Odd(BaseException): pass\n    raise Odd('odd')",
    ],
)
def test_a_plugin_that_exits_on_import_harms_no_other(line, site, good):
    site.install("acme", f"    {line}\n")
    site.install("beta", good("gamma"))
    registry = load_plugins()
    assert [plugin.status for plugin in registry.plugins] == ["failed", "loaded"]
    assert registry.create("augmentation", "gamma") == ("gamma", 0.5, 1.5)
    with pytest.raises(PluginError, match="was left out"):
        load_plugins(strict=True)


@pytest.mark.parametrize("line", ["import sys; sys.exit(3)", "raise GeneratorExit"])
def test_what_exits_on_first_use_is_an_error_of_its_plugin(line, site):
    site.install("acme", NOISY)
    (site.path / "acme_lazy.py").write_text(line)
    with pytest.raises(PluginError, match="cannot be imported"):
        load_plugins().factory("augmentation", "lazy")


def test_an_interrupt_by_the_user_is_not_swallowed(site):
    site.install("acme", "    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()
