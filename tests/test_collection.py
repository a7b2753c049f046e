"""The tests' names, which the processes that share them have to agree on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_process_collects_the_same_names_in_the_same_order():
    """Neither the hour nor the order of sets is in them: the second collection is seconds later."""

    def collected(hash_seed):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        ended = subprocess.run(
            [*command, str(Path(__file__).parent)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert ended.returncode == 0, ended.stdout[-2000:]
        return [line for line in ended.stdout.splitlines() if "::" in line]

    names = collected("1")
    assert any("test_every_process_collects" in name for name in names)
    assert names == collected("2")
