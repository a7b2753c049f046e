"""A disk that is really full, small and in memory: a clear end, and a run to go on with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

RUN = f"{sys.executable} -c 'from medpipe_core.command.medpipe_run import main; exit(main())'"
SCRIPT = """
mount -t tmpfs -o size=$SIZE tmpfs disk || exit 77
$RUN run.root=disk/runs $WORDS
echo "first $?"
rm -f disk/filler
mount -o remount,size=64m disk
$RUN --resume disk/runs/* --trust-plugins
echo "second $?"
ls disk/runs/*/
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, to mount a disk")
@pytest.mark.parametrize("size", ["64k", "160k"])
def test_a_full_disk_ends_a_run_in_words_and_it_goes_on_once_there_is_room(
    tmp_path, toy_words, size
):
    (tmp_path / "disk").mkdir()
    words = [word for word in toy_words if not word.startswith("run.root=")]
    script = SCRIPT.replace("$RUN", RUN)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "WORDS": " ".join(words), "SIZE": size, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    assert "first 1\n" in done.stdout, done.stdout + done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "second 0\n" in done.stdout, done.stdout + done.stderr
    assert "result.json" in done.stdout
