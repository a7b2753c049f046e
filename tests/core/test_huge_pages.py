from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medpipe_core.memory import use_huge_pages

NAME = "THP_MEM_ALLOC_ENABLE"
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ALLOWED = SWITCH.exists() and "[never]" not in SWITCH.read_text()
PROGRAM = """
import resource, torch
from medpipe_core.memory import use_huge_pages
use_huge_pages()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.empty(20_000_000).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not ALLOWED, reason="needs a system with transparent huge pages")
def test_a_large_tensor_takes_few_pages():
    clean = {name: value for name, value in os.environ.items() if name != NAME}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 10_000  # 80 MB are 19,531 pages of 4 KiB


@pytest.mark.parametrize(("given", "then"), [(None, "1"), ("0", "0")])
def test_what_the_environment_says_of_huge_pages_holds(monkeypatch, given, then):
    monkeypatch.setenv(NAME, "")  # so that it is put back as it was
    monkeypatch.delenv(NAME)
    if given is not None:
        monkeypatch.setenv(NAME, given)
    use_huge_pages()
    assert os.environ[NAME] == then
