"""Files that are whole or not there, and the journal."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medpipe_core.config.errors import ConfigurationError, RunFolderError, StorageError
from medpipe_core.frozen_mapping import FrozenMapping
from medpipe_core.record import atomic_files
from medpipe_core.record.journal import Journal, read_journal
from medpipe_core.record.run_folder import usable_root


def test_a_save_is_written_flushed_renamed_and_the_folder_flushed(tmp_path, monkeypatch):
    calls = []

    def record(name):
        real = getattr(os, name)

        def call(*arguments):
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(atomic_files.os, name, call)

    record("fsync")
    record("replace")
    atomic_files.write_atomically(tmp_path / "a.txt", "text")
    assert calls == ["fsync", "replace", "fsync"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.txt"
    atomic_files.write_atomically(path, "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files.os, broken, fail)
    with pytest.raises(StorageError, match=r"a\.txt: the disk is full.*run\.root"):
        atomic_files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_short_write_is_noticed(tmp_path):
    code = (
        "import resource, sys, pathlib\n"
        "from medpipe_core.record.atomic_files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(pathlib.Path(sys.argv[1]), b'x' * 5000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.bin")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "StorageError" in done.stderr
    assert "larger than the system allows" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_without_numbers_for_nan_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic_files.write_json(tmp_path / "a.json", {"auc": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_events_are_read_back_in_order(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    journal("search-step", step=0, loss=np.float32(0.5), shape=(1, 2))
    choices = FrozenMapping({"p": (1, 2)})
    journal("search-step", step=1, loss=float("nan"), path=tmp_path, choices=choices)
    journal.close()
    first, second = read_journal(journal.path)
    assert (first["event"], first["loss"], first["shape"]) == ("search-step", 0.5, [1, 2])
    assert first["time"].endswith("Z")
    assert (second["loss"], second["path"]) == (None, str(tmp_path))
    assert second["choices"] == {"p": [1, 2]}


def test_an_event_is_on_its_way_to_the_disk_at_once(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    journal("started")
    assert len(read_journal(journal.path)) == 1
    journal.close()


def test_a_journal_torn_at_any_byte_can_be_appended_to_twice(tmp_path):
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    for step in range(3):
        journal("step", step=step, text="ä")
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        assert len(read_journal(path)) == kept
        for more in range(2):
            again = Journal(path)
            again("more", number=more)
            again.close()
        events = read_journal(path)
        assert [e["event"] for e in events] == ["step"] * kept + ["more"] * 2


def test_a_long_torn_line_is_dropped(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(json.dumps({"event": "a"}).encode() + b"\n" + b"x" * 200_000)
    Journal(path).close()
    assert [e["event"] for e in read_journal(path)] == ["a"]


@pytest.mark.parametrize("line", ["{", "[1]", '{"no": "event"}', "[" * 100_000])
def test_a_line_that_is_no_event_is_named(tmp_path, line):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "a"}\n' + line + "\n")
    with pytest.raises(RunFolderError, match=r"events\.jsonl, line 2"):
        read_journal(path)


def test_a_full_disk_stops_the_journal_with_a_clear_error(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    journal = Journal(tmp_path / "events.jsonl")
    journal.close()
    journal._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(StorageError, match="the disk is full"):
        journal("started")
    with pytest.raises(StorageError):
        journal.close()


@pytest.fixture
def special(tmp_path):
    """Return a pipe and a socket: what must not be taken for a file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/full")
    return [tmp_path / "pipe", tmp_path / "link"]


def test_a_device_or_a_pipe_keeps_its_name(special):
    for path in special:
        before = path.lstat()
        with pytest.raises(StorageError, match="no file, but a device, pipe or socket"):
            atomic_files.write_atomically(path, "text")
        with pytest.raises(StorageError, match="no file, but a device, pipe or socket"):
            atomic_files.check_place(path)
        assert path.lstat() == before
        assert len(list(path.parent.iterdir())) == 2


def test_a_place_is_tried_before_the_work_and_left_as_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    atomic_files.check_place(tmp_path / "a.txt")
    atomic_files.check_place(tmp_path / "new" / "deeper" / "b.txt")
    atomic_files.check_place(tmp_path / "new", folder=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("place", "folder", "reason"),
    [
        ("a.txt/b.txt", False, "Not a directory"),
        ("a.txt", True, "Not a directory"),
        ("inner", False, "it is a folder"),
    ],
)
def test_a_place_that_cannot_be_is_refused(tmp_path, place, folder, reason):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "inner").mkdir()
    with pytest.raises(StorageError, match=reason):
        atomic_files.check_place(tmp_path / place, folder=folder)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that takes nothing")
def test_a_folder_that_looks_writable_and_takes_nothing_is_refused():
    with pytest.raises(StorageError, match="cannot write /proc/x"):
        atomic_files.check_place(Path("/proc/x"), folder=True)
    with pytest.raises(ConfigurationError, match=r"run\.root: /proc/x .* nothing can be made"):
        usable_root("/proc/x")
