"""Ten thousand damaged files, over all readers: `MEDPIPE_HOSTILE=250` damages so many of each."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
COUNT = int(os.environ.get("MEDPIPE_HOSTILE", "20"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited by fork"),
]


def read(folder, count):
    done = subprocess.run(
        [sys.executable, str(HERE / "reading.py"), str(folder), "--count", str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: (int(took), int(refused)) for name, _, took, _, refused in lines}


def test_damaged_files_of_every_form_are_read_or_refused(tmp_path):
    counts = read(tmp_path, COUNT)
    assert len(counts) > 50
    assert {path.name for path in (HERE / "corpus").iterdir()} <= set(counts)
    assert all(sum(both) > COUNT for both in counts.values())
    # Nobody has to read these to answer; what is in them counts for nothing then.
    silent = {name for name, (_, refused) in counts.items() if not refused}
    assert silent <= {"cache", "run-plugins", "run-checksums", "run-decision", "run-split"}
