"""numba counts as present when it compiles; else all works without it, which is told once."""

from __future__ import annotations

import sys
import textwrap

import pytest

from medpipe_plugins.numba_extra import has_numba

CODE = """
import torch
from medpipe_core import load_plugins
from medpipe_plugins.augment3d import resample
from medpipe_plugins.blocks3d import BatchNormReLU6, DepthwiseConv3d
from medpipe_plugins.numba_extra import has_numba

volumes = torch.rand(2, 16, 12, 12, 12, requires_grad=True)
layer = torch.nn.Sequential(DepthwiseConv3d(16, 3), BatchNormReLU6(16), DepthwiseConv3d(16, 3, 2))
layer(volumes.contiguous(memory_format=torch.channels_last_3d)).sum().backward()
moved = resample(torch.rand(2, 1, 8, 8, 8), torch.eye(3, 4).repeat(2, 1, 1))
registry = load_plugins()
for name in ("noise", "blur", "erase", "v_rotation"):
    registry.factory("augmentation", name)
print(has_numba(), float(volumes.grad.abs().sum()) > 0, bool(moved.isfinite().all()))
"""


@pytest.fixture
def run(tmp_path, monkeypatch, forked):
    """Return a function that runs the code in a process of its own, with a numba of this text."""

    def ended(numba="", code=CODE):
        if numba:
            (tmp_path / "numba").mkdir()
            (tmp_path / "numba" / "__init__.py").write_text(textwrap.dedent(numba))
            monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return forked("import warnings; warnings.simplefilter('error')\n" + code)

    return ended


WRONG = {
    "not for this numpy": (
        'raise ImportError("Numba needs NumPy 2.3 or less.\\nGot NumPy 2.4.")',
        "ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.4.",
    ),
    "broken in another way": ("None.version", "AttributeError: 'NoneType' object has no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_numba_that_cannot_be_imported_is_told_once_and_done_without(run, case):
    text, why = WRONG[case]
    done = run(text)
    assert done.output == "False True True\n", done.problems
    assert done.problems.count("installed and not used") == 1
    assert why in done.problems
    assert "Traceback" not in done.problems


@pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
def test_a_compiler_that_is_switched_off_is_told_once_and_done_without(run, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = run()
    assert done.output == "False True True\n", done.problems
    assert done.problems.count("NUMBA_DISABLE_JIT") == 1
    assert "Traceback" not in done.problems


@pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
def test_a_numba_that_compiles_is_used_without_a_word(run):
    code = "from medpipe_plugins.numba_extra import has_numba; print(has_numba(), has_numba())"
    done = run(code=code)
    assert done.output == "True True\n", done.problems
    assert done.problems == ""
