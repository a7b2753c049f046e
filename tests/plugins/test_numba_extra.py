"""The extra `fast` counts as there where it can be used, not where it is merely installed."""

from __future__ import annotations

import sys
import types

import pytest

from medpipe_plugins import numba_extra


@pytest.fixture(autouse=True)
def _asked_anew():
    numba_extra.has_numba.cache_clear()
    yield
    numba_extra.has_numba.cache_clear()


def _stand_in(monkeypatch, **config):
    numba = types.ModuleType("numba")
    numba.__spec__ = types.SimpleNamespace(name="numba")
    numba.config = types.SimpleNamespace(**config)
    monkeypatch.setitem(sys.modules, "numba", numba)


def test_numba_that_cannot_be_imported_is_told_once_and_not_used(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('Numba needs NumPy 2.3')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"cannot be imported \(ImportError: Numba needs NumPy"):
        assert numba_extra.has_numba() is False
    assert numba_extra.has_numba() is False  # without a second warning, which would be an error


def test_numba_whose_compiler_is_switched_off_is_not_used(monkeypatch):
    _stand_in(monkeypatch, DISABLE_JIT=1)
    assert numba_extra.has_numba() is False
    numba_extra.has_numba.cache_clear()
    _stand_in(monkeypatch, DISABLE_JIT=0)
    assert numba_extra.has_numba() is True


def test_without_numba_there_is_none(monkeypatch):
    monkeypatch.setattr(numba_extra.importlib.util, "find_spec", lambda name: None)
    assert numba_extra.has_numba() is False
