"""Compiled loops are read from a folder of the user's own, and from no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medpipe_plugins import compiled_cache
from medpipe_plugins.compiled_cache import cache_folder, kept
from medpipe_plugins.numba_extra import has_numba

needs_numba = pytest.mark.skipif(not has_numba(), reason="needs the extra `fast`")
SOURCES = Path(compiled_cache.__file__).parent / "augment3d"


def doubling(factor):
    """A function for numba that closes over another one, as the bundle's loops do."""
    from numba import njit

    inner = njit(lambda number: factor * number)

    def loop(values, out):
        for at in range(len(values)):
            out[at] = inner(values[at])

    return njit(nogil=True, fastmath={"contract"})(loop)


def doubled(loop):
    out = np.empty(3)
    loop(np.arange(3.0), out)
    return out.tolist(), sum(loop.stats.cache_hits.values())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@needs_numba
def test_what_was_compiled_is_read_again(folder):
    found = [doubled(kept(doubling(2))) for _ in range(2)]
    assert found == [([0.0, 2.0, 4.0], 0), ([0.0, 2.0, 4.0], 1)]
    (below,) = folder.iterdir()
    assert below.stat().st_mode & 0o077 == 0


@needs_numba
def test_damaged_files_are_compiled_anew(folder):
    doubled(kept(doubling(2)))
    for path in folder.rglob("*.nb*"):
        path.write_bytes(path.read_bytes()[:40])
    assert doubled(kept(doubling(2))) == ([0.0, 2.0, 4.0], 0)
    assert doubled(kept(doubling(2)))[0] == [0.0, 2.0, 4.0]


@needs_numba
def test_a_disk_that_takes_nothing_harms_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert doubled(kept(doubling(2))) == ([0.0, 2.0, 4.0], 0)


@needs_numba
def test_a_numba_with_other_insides_compiles(folder, monkeypatch):
    def absent():
        raise ImportError("no such class")

    monkeypatch.setattr(compiled_cache, "_cache_class", absent)
    assert doubled(kept(doubling(2))) == ([0.0, 2.0, 4.0], 0)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("which", ["the folder", "the one above"])
def test_a_folder_that_others_can_write_to_is_not_used(folder, mode, which):
    made = cache_folder(SOURCES)
    (made if which == "the folder" else folder).chmod(mode)
    assert cache_folder(SOURCES) is None


def test_a_link_and_a_file_are_not_used(folder, tmp_path):
    made = cache_folder(SOURCES)
    made.rename(tmp_path / "elsewhere")
    made.symlink_to(tmp_path / "elsewhere")
    assert cache_folder(SOURCES) is None
    made.unlink()
    made.write_text("")
    assert cache_folder(SOURCES) is None


def test_somebody_elses_folder_is_not_used(folder, monkeypatch):
    assert cache_folder(SOURCES) is not None
    monkeypatch.setattr(os, "getuid", lambda: 12345, raising=False)
    assert cache_folder(SOURCES) is None


def test_an_empty_variable_switches_it_off(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(SOURCES).parent == tmp_path / "medpipe"
    monkeypatch.setenv("MEDPIPE_CACHE", "")
    assert cache_folder(SOURCES) is None


def test_other_sources_and_versions_have_other_folders(folder, tmp_path, monkeypatch):
    found = set()
    for text in ("one = 1", "one = 2"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "loops.py").write_text(text)
        found.add(cache_folder(tmp_path / text))
    compiled_cache._key.cache_clear()
    monkeypatch.setattr(compiled_cache.importlib.metadata, "version", lambda name: "0")
    found.add(cache_folder(tmp_path / "one = 1"))
    compiled_cache._key.cache_clear()
    assert len(found) == 3


PROGRAM = """
import json, torch
from medpipe_plugins.augment3d import kernels, resample
torch.set_num_threads(1)
volumes = torch.rand(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
moved = resample(volumes, 0.9 * torch.eye(3, 4).repeat(2, 1, 1))
loops = kernels.kernels()
print(json.dumps([moved.tolist(), sum(loops.resample.stats.cache_hits.values())]))
"""


@needs_numba
@pytest.mark.slow
def test_another_process_reads_the_bundles_loops_and_computes_the_same(folder):
    def run():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    first, second = run(), run()
    assert first[0] == second[0]
    assert (first[1], second[1]) == (0, 1)
