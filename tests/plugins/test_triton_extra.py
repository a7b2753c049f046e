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
    triton_extra._works.cache_clear()
    yield
    triton_extra._works.cache_clear()


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_the_switch_is_read_whenever_it_is_asked(monkeypatch):
    monkeypatch.delenv(triton_extra.SWITCH, raising=False)
    assert has_triton()
    monkeypatch.setenv(triton_extra.SWITCH, "0")
    assert not has_triton()
    monkeypatch.setenv(triton_extra.SWITCH, "1")
    assert has_triton()


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
