"""numba counts as present when it compiles; else all works without it, which is told once."""

from __future__ import annotations

import os
import subprocess
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


def run(tmp_path, numba="", code=CODE, **environment):
    """Run the code in a process of its own, with a numba that has this text if it has one."""
    if numba:
        (tmp_path / "numba").mkdir()
        (tmp_path / "numba" / "__init__.py").write_text(textwrap.dedent(numba))
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


WRONG = {
    "not for this numpy": (
        'raise ImportError("Numba needs NumPy 2.3 or less.\\nGot NumPy 2.4.")',
        "ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.4.",
    ),
    "broken in another way": ("None.version", "AttributeError: 'NoneType' object has no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_numba_that_cannot_be_imported_is_told_once_and_done_without(tmp_path, case):
    text, why = WRONG[case]
    done = run(tmp_path, text)
    assert done.stdout == "False True True\n", done.stderr
    assert done.stderr.count("installed and not used") == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
def test_a_compiler_that_is_switched_off_is_told_once_and_done_without(tmp_path):
    done = run(tmp_path, NUMBA_DISABLE_JIT="1")
    assert done.stdout == "False True True\n", done.stderr
    assert done.stderr.count("NUMBA_DISABLE_JIT") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
def test_a_numba_that_compiles_is_used_without_a_word(tmp_path):
    code = "from medpipe_plugins.numba_extra import has_numba; print(has_numba(), has_numba())"
    done = run(tmp_path, code=code)
    assert done.stdout == "True True\n", done.stderr
    assert done.stderr == ""
