"""Kernels for a GPU count as present where Triton works; it can be switched off, and is lazy."""

from __future__ import annotations

import importlib.util

import pytest

from medpipe_plugins import triton_extra
from medpipe_plugins.triton_extra import has_triton

BROKEN = """
import sys
sys.path.insert(0, {folder!r})
from medpipe_plugins.triton_extra import has_triton
print(has_triton(), has_triton())
"""


@pytest.fixture
def asked_anew():
    """Forget what has been found out, before and after."""
    has_triton.cache_clear()
    yield
    has_triton.cache_clear()


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
@pytest.mark.parametrize(("value", "expected"), [(None, True), ("0", False), ("1", True)])
def test_the_switch_is_read_once(value, expected, monkeypatch, asked_anew):
    if value is None:
        monkeypatch.delenv(triton_extra.SWITCH, raising=False)
    else:
        monkeypatch.setenv(triton_extra.SWITCH, value)
    assert has_triton() == expected
    monkeypatch.setenv(triton_extra.SWITCH, "1" if value == "0" else "0")
    assert has_triton() == expected


def test_what_is_not_installed_is_not_there(monkeypatch, asked_anew, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not has_triton()
    assert caplog.text == ""


def test_a_triton_that_cannot_be_imported_is_told_once_and_done_without(tmp_path, forked):
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text('raise OSError("no such\\nlibrary")')
    done = forked(BROKEN.format(folder=str(tmp_path)))
    assert done.output == "False False\n", done.problems
    assert done.problems.count("installed and not used: OSError: no such library") == 1


def test_nothing_imports_triton_before_it_is_used(forked):
    code = (
        "import sys\n"
        "from medpipe_core import load_plugins\n"
        "from medpipe_plugins.blocks3d import MBConv3D\n"
        "registry = load_plugins()\n"
        "MBConv3D(4, kernel=3, expansion=2)\n"
        "print('triton' in sys.modules)\n"
    )
    done = forked(code, imported=())
    assert done.output == "False\n", done.problems
